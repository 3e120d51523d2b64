// What the tests of history share: steps made up from a seed, and a plain model of what history must show.
#pragma once
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/history.h"

namespace dozo::history_fixture {

template <class Id>
Id id_of(std::uint64_t number) {
  Id out;
  put_u64(out.bytes.data() + Id::size - 8, number);
  return out;
}

inline store::TreeFile a_file(std::uint64_t content, std::uint64_t document, bool executable = false) {
  return {store::ContentKind::file, executable, id_of<Digest>(content), id_of<PieceId>(content + 1'000'000), content, id_of<DocumentId>(document)};
}
inline store::TreeFile a_link(std::uint64_t content, std::uint64_t document) {
  store::TreeFile out = a_file(content, document);
  out.kind = store::ContentKind::symlink;
  return out;
}
inline store::TreeFile a_folder(std::uint64_t document) { return {store::ContentKind::dir, false, {}, {}, 0, id_of<DocumentId>(document)}; }

inline store::HistoryStep a_step(std::uint64_t number, std::vector<store::TreeChange> changes) {
  return {id_of<RecordId>(number), (1'700'000'000'000 + number * 1000) << 16, "東京 鈴木", "step " + std::to_string(number), std::move(changes)};
}

/// The folder at one commit: paths as in TreeChange, folder documents with a slash at the end.
using Model = std::map<std::string, store::TreeFile>;

/// Steps over few names, so that they meet: files, links, folder documents, files and folders taking each other's names.
class Story {
 public:
  explicit Story(std::uint64_t seed) : dice_(seed) {}

  store::HistoryStep next() {
    std::map<std::string, std::optional<store::TreeFile>> changes;
    const std::size_t count = pick(4);
    for (std::size_t i = 0; i < count; ++i) change(changes);
    // The same in any order.
    std::vector<store::TreeChange> list;
    for (auto& [path, now] : changes) list.push_back({path, now});
    std::shuffle(list.begin(), list.end(), dice_);
    ++number_;
    models.push_back(model_);
    return a_step(number_, std::move(list));
  }

  std::vector<Model> models{Model{}};  ///< models[k]: after k steps

 private:
  std::size_t pick(std::size_t below) { return static_cast<std::size_t>(dice_() % below); }
  std::string name() {
    static const std::vector<std::string> names{"a", "b", ".git", "c\nd", "\xff\xfe", "%folder", "x.", "図面"};
    return names[pick(names.size())];
  }
  void gone(std::map<std::string, std::optional<store::TreeFile>>& changes, const std::string& path) {
    if (!model_.contains(path)) return;
    changes[path] = std::nullopt;  // first: path may be a key of the model, which erase ends
    model_.erase(path);
  }
  void change(std::map<std::string, std::optional<store::TreeFile>>& changes) {
    if (pick(4) == 0 && !model_.empty()) return gone(changes, std::next(model_.begin(), static_cast<std::ptrdiff_t>(pick(model_.size())))->first);
    std::string path = name();
    for (std::size_t depth = pick(4); depth > 0; --depth) path += "/" + name();
    const bool is_folder = pick(5) == 0;
    // What stands in the way goes: files on the path, and for a file all that is below it.
    for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) gone(changes, path.substr(0, at));
    if (is_folder) {
      gone(changes, path);
      path += '/';
    } else {
      for (auto it = model_.lower_bound(path + "/"); it != model_.end() && it->first.starts_with(path + "/"); it = model_.lower_bound(path + "/")) {
        const std::string below = it->first;
        gone(changes, below);
      }
    }
    const std::uint64_t document = pick(20), content = pick(50);
    const store::TreeFile file = is_folder ? a_folder(document) : pick(5) == 0 ? a_link(content, document) : a_file(content, document, pick(4) == 0);
    model_[path] = file;
    changes[path] = file;
  }

  std::mt19937_64 dice_;
  Model model_;
  std::uint64_t number_{};
};

/// What history shows at a commit, by its own walk.
inline Model shown(const store::History& history, std::uint64_t number) {
  Model out;
  const auto walked = history.walk(number, "", [&](const std::string& path, const store::TreeFile& file) { return out.emplace(path, file).second; });
  if (!walked) out.emplace("walk: " + walked.error().text, store::TreeFile{});
  return out;
}

}  // namespace dozo::history_fixture
