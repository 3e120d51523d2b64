// Rules: a directory's permits and forbids, its posts and units, made ready for many decisions: names are numbers, and of the rules only those are looked at
// that are about the action and the library. Internal to the room; docs/policy.md, section 8, says what it computes. Threads: immutable once made.
#pragma once
#include <unordered_map>

#include "policy/policy.h"

namespace dozo::policy {

/// Half open; 0: without beginning, without end.
inline bool in_time(std::int64_t from_s, std::int64_t until_s, std::int64_t time_ms) {
  return time_ms >= from_s * 1000 && (until_s == 0 || time_ms < until_s * 1000);
}

class Rules {
 public:
  using Name = std::uint32_t;
  static constexpr Name no_name = UINT32_MAX;  ///< a name that the directory does not have: equal to none

  /// A role by a post, for as long as the post is held.
  struct Held {
    Name role, post, kind;
    const std::vector<Name>* orgs;  ///< the post's unit and those above it, ascending
    const std::string* org;
    std::int64_t from_s, until_s;
  };
  /// What a request says, in numbers.
  struct Asked {
    const Request* request;
    const MeshNode* at;
    Name role;
    std::vector<const Held*> held;  ///< with that role, in that unit, at that time; none in the capacity service
    bool label_known;
    std::optional<std::vector<Name>> acted_as;
  };
  enum class Match : std::uint8_t { no, yes, error };

  explicit Rules(const Directory& directory);  ///< which outlives this

  Name name(std::string_view text) const;
  const std::vector<Held>& held_by(std::size_t person) const { return people_[person]; }  ///< by place in the directory
  bool has_label(std::uint32_t number) const;

  /// Of the permits, or the forbids, that can be about the request: how each matches, `no` left out.
  template <class See>
  void each_match(bool forbids, const Asked& asked, See&& see) const {
    const auto& lists = of_[forbids ? 1 : 0];
    const auto action = static_cast<std::size_t>(asked.request->action);
    const auto visit = [&](const std::vector<std::uint32_t>& rules) {
      for (const std::uint32_t number : rules) {
        const Ready& rule = rules_[number];
        const Match how = match(rule, asked, nullptr);
        if (how != Match::no) see(*rule.rule, how);
      }
    };
    visit(lists.general[action]);
    if (const auto own = lists.by_library.find(asked.request->library); own != lists.by_library.end()) visit(own->second[action]);
  }
  /// Every permit and the conditions that it misses, for explaining.
  template <class See>
  void each_miss(const Asked& asked, See&& see) const {
    for (const Ready& rule : rules_) {
      if (rule.is_forbid) continue;
      std::vector<std::string_view> misses;
      match(rule, asked, &misses);
      see(*rule.rule, misses);
    }
  }

 private:
  struct Ready {
    const Rule* rule;
    bool is_forbid;
    std::vector<PersonId> people;  // each list ascending
    std::vector<NodeId> nodes;
    std::vector<LibraryId> libraries;
    std::vector<Name> roles, posts, orgs, classes, acted_as;
    std::vector<std::uint32_t> labels;
    std::uint32_t actions;  ///< one bit each
  };
  struct IdHash {
    std::size_t operator()(const LibraryId& id) const;
  };
  static constexpr std::size_t action_count = 6;
  using ByAction = std::array<std::vector<std::uint32_t>, action_count>;
  struct Lists {
    ByAction general;
    std::unordered_map<LibraryId, ByAction, IdHash> by_library;
  };

  Name intern(const std::string& text);
  Match match(const Ready& rule, const Asked& asked, std::vector<std::string_view>* misses) const;

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Name, TextHash, std::equal_to<>> names_;
  std::map<std::string, std::vector<Name>> above_;  ///< units
  std::vector<std::vector<Held>> people_;
  std::vector<std::uint32_t> labels_;  ///< ascending
  std::vector<Ready> rules_;
  std::array<Lists, 2> of_;  ///< permits, forbids
};

}  // namespace dozo::policy
