#include "tools/authority_cuts.h"

#include <algorithm>

#include "policy/compare.h"
#include "tools/command.h"

namespace dozo::tools {
namespace {

using policy::CutSubject;
using Opened = std::function<Result<policy::Policy>(PolicyVersion)>;

std::map<FeedId, policy::FeedPoint> ends_of(const std::vector<node::local::HeadRow>& heads) {
  std::map<FeedId, policy::FeedPoint> out;
  for (const node::local::HeadRow& it : heads) out[it.feed] = {it.feed.node, it.feed.incarnation, it.sequence, it.root};
  return out;
}

/// Whether a cut of `subject` that is there leaves all of this: then it wrote nothing since, and the cut is carried on.
bool is_cut_after(const policy::MeshLibrary& library, const CutSubject& subject, const std::map<FeedId, policy::FeedPoint>& ends) {
  return std::any_of(library.cuts.begin(), library.cuts.end(), [&](const policy::Cut& cut) {
    return cut.subject == subject && std::all_of(ends.begin(), ends.end(), [&](const auto& it) {
             if (it.first.library != library.id) return true;
             return std::any_of(cut.ends.begin(), cut.ends.end(), [&](const policy::FeedPoint& end) {
               return end.node == it.second.node && end.incarnation == it.second.incarnation && end.sequence >= it.second.sequence;
             });
           });
  });
}

class Collecting {
 public:
  Collecting(const AuthorityDirectory& directory, const policy::Policy& after, const Cutting& cutting, const Opened& opened, std::int64_t now_s)
      : directory_(directory), after_(after), cutting_(cutting), opened_(opened), now_s_(now_s) {}

  Result<Cuts> run() {
    const PolicyVersion newest = TRY(directory_.newest_version());
    if (newest.value == 0) return std::move(out_);
    const policy::Policy before = TRY(opened_(newest));
    for (policy::Loss& it : policy::lost_rights(before, after_, now_s_ * 1000)) note(std::move(it));
    TRY(came_back(before));
    revoked_before(before, newest);
    for (const auto& [subject, loss] : losses_) TRY(cut(loss));
    return std::move(out_);
  }

 private:
  void note(policy::Loss loss) {
    const auto [at, is_new] = losses_.try_emplace(loss.subject, loss);
    if (!is_new) at->second.libraries.merge(loss.libraries);
  }

  /// Libraries that the newest publication has not, and an older one has.
  Result<void> came_back(const policy::Policy& before) {
    std::set<LibraryId> missing;
    for (const policy::MeshLibrary& it : after_.mesh().libraries)
      if (before.library(it.id) == nullptr) missing.insert(it.id);
    const std::vector<PolicyVersion> versions = directory_.versions();
    for (auto version = versions.rbegin(); version != versions.rend() && !missing.empty(); ++version) {
      if (*version == before.version()) continue;
      const policy::Policy then = TRY(opened_(*version));
      std::set<LibraryId> found;
      for (const LibraryId& id : missing) {
        const policy::MeshLibrary* library = then.library(id);
        if (library == nullptr) continue;
        found.insert(id);
        if (!library->cuts.empty()) out_.changes.cuts[id] = library->cuts;
        if (!library->admits.empty()) out_.changes.admits[id] = library->admits;
      }
      if (found.empty()) continue;
      for (policy::Loss& it : policy::lost_rights(then, after_, now_s_ * 1000)) {
        std::erase_if(it.libraries, [&](const LibraryId& id) { return !found.contains(id); });
        if (!it.libraries.empty()) note(std::move(it));
      }
      std::erase_if(missing, [&](const LibraryId& id) { return found.contains(id); });
    }
    return {};
  }

  /// Who is revoked may have lost a library earlier, without a cut.
  void revoked_before(const policy::Policy& before, PolicyVersion newest) {
    for (const Register::Revoked& it : directory_.entries().revoked) {
      if (it.after != newest || !it.cut || directory_.entries().last_word(it.subject) != &it) continue;
      const auto ends = ends_of(it.heads);
      policy::Loss loss{it.subject, it.name, {}};
      for (const auto& [feed, end] : ends) {
        const policy::MeshLibrary* library = before.library(feed.library);
        if (library != nullptr && after_.library(feed.library) != nullptr && !is_cut_after(*library, it.subject, ends)) loss.libraries.insert(feed.library);
      }
      if (!loss.libraries.empty()) note(std::move(loss));
    }
  }

  Result<void> cut(const policy::Loss& loss) {
    const Register::Revoked* word = directory_.entries().last_word(loss.subject);
    std::set<LibraryId> said, open;
    for (const LibraryId& id : loss.libraries) (word != nullptr && (!word->cut || !word->libraries || word->libraries->contains(id)) ? said : open).insert(id);
    if (!said.empty()) {
      if (word->cut) {
        add(loss, said, ends_of(word->heads));
      } else {
        stays(loss, said);
      }
    }
    if (open.empty()) return {};
    if (cutting_.staying == Staying::all) return stays(loss, open), Result<void>();
    if (cutting_.staying == Staying::nothing) return add(loss, open, {}), Result<void>();
    const std::string choice = "; or say --no-cut (all that it wrote stays), or --cut-all (nothing does)";
    if (!cutting_.ask)
      misused(loss.name + " may no longer write to " + names(open) + ": name the home of HQ's node with --home, so that what it knows of " + loss.name +
              " stays" + choice);
    const node::local::Heads heads = TRY(cutting_.ask(loss.subject));
    std::set<LibraryId> unknown = open;
    for (const LibraryId& id : heads.libraries) unknown.erase(id);
    if (!unknown.empty())
      return fail(Fault::malformed,
                  loss.name + " may no longer write to " + names(unknown) + ", of which the node of --home holds nothing: ask one that does" + choice);
    add(loss, open, ends_of(heads.rows));
    return {};
  }

  void add(const policy::Loss& loss, const std::set<LibraryId>& libraries, const std::map<FeedId, policy::FeedPoint>& ends) {
    std::size_t feeds = 0;
    for (auto& [library, cuts] : policy::cuts_of(loss.subject, libraries, ends)) {
      for (const policy::Cut& it : cuts) feeds += it.ends.size();
      auto& to = out_.changes.cuts[library];
      to.insert(to.end(), cuts.begin(), cuts.end());
    }
    out_.lines.push_back(loss.name + ": cut in " + names(libraries) + "; what stays lies in " + std::to_string(feeds) + " feeds");
  }
  void stays(const policy::Loss& loss, const std::set<LibraryId>& libraries) {
    out_.lines.push_back(loss.name + ": no cut in " + names(libraries) + ": what it writes under policies from before counts");
  }

  std::string names(const std::set<LibraryId>& libraries) const {
    std::string out;
    for (const LibraryId& id : libraries) {
      const auto& known = directory_.entries().libraries;
      const auto at = std::find_if(known.begin(), known.end(), [&](const auto& it) { return it.second == id; });
      out += (out.empty() ? "" : ", ") + (at == known.end() ? id.hex() : at->first);
    }
    return out;
  }

  const AuthorityDirectory& directory_;
  const policy::Policy& after_;
  const Cutting& cutting_;
  const Opened& opened_;
  std::int64_t now_s_;
  std::map<CutSubject, policy::Loss> losses_;
  Cuts out_;
};

}  // namespace

Result<Cuts> cuts_for(const AuthorityDirectory& directory, const policy::Policy& after, const Cutting& cutting, const Opened& opened, std::int64_t now_s) {
  return Collecting(directory, after, cutting, opened, now_s).run();
}

}  // namespace dozo::tools
