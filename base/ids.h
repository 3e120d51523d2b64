// Ids: the names of things that every room speaks of, each a type of its own so that one cannot be passed for another.
// The glossary in docs/architecture.md says what each thing is.
#pragma once
#include <cstdint>

#include "base/bytes.h"

namespace dozo {

using RealmId = FixedBytes<32, struct RealmIdTag>;              ///< SHA-256 of the first root document's bytes
using LibraryId = FixedBytes<16, struct LibraryIdTag>;          ///< random; says nothing about the library
using DocumentId = FixedBytes<16, struct DocumentIdTag>;        ///< random
using NodeId = FixedBytes<16, struct NodeIdTag>;                ///< random; stays when the node's keys change
using PersonId = FixedBytes<16, struct PersonIdTag>;            ///< random; all zero: no person, the node's own capacity `service`
using IncarnationId = FixedBytes<16, struct IncarnationIdTag>;  ///< random, boot id and time hashed in
using VersionId = FixedBytes<16, struct VersionIdTag>;          ///< first half of a SHA-256 over (document, register, value, replaced, again)
using RecordId = FixedBytes<32, struct RecordIdTag>;            ///< SHA-256 of the record's encoding, without its signature
using PieceId = FixedBytes<32, struct PieceIdTag>;              ///< SHA-256 of (piece type, plaintext); stands only inside sealed bytes
using PackAddress = FixedBytes<32, struct PackAddressTag>;      ///< SHA-256 of the sealed bytes, as `sha256sum` prints it
using Digest = FixedBytes<32, struct DigestTag>;                ///< any other SHA-256

/// A number that is only compared and counted, kept apart from other numbers by its tag.
template <class Rep, class Tag>
struct Strong {
  Rep value{};
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
};
using Epoch = Strong<std::uint32_t, struct EpochTag>;                  ///< generation of a library's key, from 1
using PolicyVersion = Strong<std::uint64_t, struct PolicyVersionTag>;  ///< version of the snapshot document, from 1
using Sequence = Strong<std::uint64_t, struct SequenceTag>;            ///< place in a feed, from 1; 0: before the first

/// One append-only log: of one node, in one library, between two doubts about its disk.
struct FeedId {
  LibraryId library;
  NodeId node;
  IncarnationId incarnation;
  friend auto operator<=>(const FeedId&, const FeedId&) = default;
};

/// Time as the shell measured it when it handed an input over; nothing below asks the system. `steady_ms` only grows and is for
/// timers; `wall_ms` is since 1970 and may be wrong by anything.
struct Now {
  std::int64_t steady_ms{};
  std::int64_t wall_ms{};
};

}  // namespace dozo
