// Authority: every entry that an honest node keeps is of a node that HQ's plan let write under the version that the entry names, and of an honest node only
// what that node made; every record that counts was made by a node of the simulator, and was its to make.
#include <fmt/format.h>

#include <algorithm>

#include "crypto/hash.h"
#include "store/entry.h"
#include "store/truth.h"
#include "tests/simulator/world.h"

namespace dozo::simulator {
namespace {

bool may_write(const World& world, PolicyVersion version, const std::string& node, const std::string& library) {
  if (version.value == 0 || version > world.authority->version()) return false;
  const Plan& plan = world.authority->plan_at(version);
  const auto members = plan.libraries.find(library);
  if (members == plan.libraries.end()) return false;
  const auto member = members->second.find(node);
  return member != members->second.end() && member->second.may_write;
}

}  // namespace

void AuthorityHolds::committed(World&, Process& node, const FeedId& feed) {
  std::uint64_t& end = ends_[feed];
  if (auto in = node.truth->read()) {
    (void)in->each_entry(store::Branch(feed), {end + 1}, [&](Sequence at, ByteView bytes) -> Result<bool> {
      entries_[{feed, at.value}] = crypto::sha256(bytes);
      end = at.value;
      return true;
    });
  }
  if (node.crashed()) unheard(feed);  // asking is a call of the store too
}

void AuthorityHolds::started(World& world, Process& node) {
  // Of a commit that nobody heard of the disk alone knows whether it was.
  for (auto it = unheard_.begin(); it != unheard_.end();) {
    if (it->node != node.keys.id) {
      ++it;
      continue;
    }
    committed(world, node, *it);
    it = unheard_.erase(it);
  }
}

void AuthorityHolds::end(World& world) const {
  for (const auto& node : world.nodes) {
    if (!world.is_honest(node->index) || !node->running()) continue;
    for (const auto& [name, id] : world.authority->libraries()) {
      node::Library* library = node->engine->library(id);
      if (library == nullptr) continue;
      auto in = node->truth->read();
      if (!in) continue;
      for (const node::Library::FeedState& feed : library->feeds()) {
        const Process* writer = world.by_id(feed.feed.node);
        if (writer == nullptr) {
          world.violate("authority", fmt::format("{} keeps a feed of nobody in {}", node->name, name));
          continue;
        }
        (void)in->each_entry(store::Branch(feed.feed), {1}, [&](Sequence at, ByteView bytes) -> Result<bool> {
          const auto entry = store::decode_entry(bytes);
          if (!entry || !may_write(world, entry->policy, writer->name, name)) {
            world.violate("authority", fmt::format("{} keeps an entry of {} in {} that policy {} does not allow", node->name, writer->name, name,
                                                   entry ? entry->policy.value : 0));
            return false;
          }
          const auto made = entries_.find({feed.feed, at.value});
          if (world.is_honest(writer->index) && (made == entries_.end() || made->second != crypto::sha256(bytes))) {
            world.violate("authority", fmt::format("{} keeps entry {} of {} in {} ({}) that {} never made", node->name, at.value, writer->name, name,
                                                   feed.feed.incarnation.hex().substr(0, 6), writer->name));
            return false;
          }
          return true;
        });
      }
      if (library->folder() == nullptr) continue;
      const auto history = library->history();
      if (!history) continue;  // convergence says so
      for (std::uint64_t k = 1; k <= (*history)->size(); ++k) {
        const auto record = (*history)->record_at(k);
        if (!record) continue;
        auto made = world.made.find(*record);
        if (made == world.made.end()) {
          const auto unseen = std::ranges::find_if(world.unseen, [&](const auto& it) { return it.library == id; });
          if (unseen != world.unseen.end()) {
            made = world.made.emplace(*record, *unseen).first;
            world.unseen.erase(unseen);
          }
        }
        if (made == world.made.end()) {
          const auto stored = library->record(*record);
          if (!stored) continue;
          const store::Record* found = &(*stored)->record;
          world.violate("authority", fmt::format("{} counts a record in {} that nobody made: as {} of {}, dated {} before now, \"{}\"", node->name, name,
                                                 found->role, found->who, world.now_of(*node).wall_ms - store::time_ms(found->hlc), found->text));
          break;
        }
        if (made->second.library != id || !may_write(world, made->second.policy, world.node(made->second.origin).name, name)) {
          world.violate("authority", fmt::format("{} counts a record in {} that {} may not write", node->name, name, world.node(made->second.origin).name));
          break;
        }
      }
    }
  }
}

}  // namespace dozo::simulator
