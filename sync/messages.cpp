#include "sync/messages.h"

#include "base/archive.h"

namespace dozo::sync {

using archive::capped;

template <class A>
void serialize(A& archive, DocumentVersions& it) {
  archive(it.root, it.policy, it.freshness, it.policy_sha256, it.suspensions);
}
template <class A>
void serialize(A& archive, State& it) {
  archive(it.realm, it.documents, it.libraries);
}
template <class A>
void serialize(A& archive, DocumentWant& it) {
  archive(capped<64>(it.name), it.version, it.or_later, it.sha256, it.offset);
}
template <class A>
void serialize(A& archive, DocumentsWanted& it) {
  archive(capped<documents_most>(it.wants), it.suspensions);
}
/// An element of a vector of byte runs, with its own cap.
template <std::size_t most>
struct Run {
  Bytes bytes;
};
template <class A, std::size_t most>
void serialize(A& archive, Run<most>& it) {
  archive(capped<most>(it.bytes));
}
template <std::size_t count_most, std::size_t run_most, class A>
void runs(A& archive, std::vector<Bytes>& to) {
  std::vector<Run<run_most>> all;
  for (Bytes& bytes : to) all.push_back({std::move(bytes)});
  archive(capped<count_most>(all));
  to.clear();
  for (Run<run_most>& run : all) to.push_back(std::move(run.bytes));
}
template <class A>
void serialize(A& archive, DocumentPart& it) {
  archive(it.sha256, it.total, it.offset, capped<document_part_bytes_most>(it.bytes));
}
template <class A>
void serialize(A& archive, DocumentsGiven& it) {
  runs<documents_most, document_bytes_most>(archive, it.envelopes);
  archive(capped<document_parts_most>(it.parts));
}
template <class A>
void serialize(A& archive, LibraryState& it) {
  archive(it.library, it.feeds, it.statements);
}
template <class A>
void serialize(A& archive, LibraryStates& it) {
  archive(capped<libraries_most>(it.libraries), it.answer);
}
template <class A>
void serialize(A& archive, LibraryWanted& it) {
  archive(it.library);
  for (std::uint64_t& bucket : it.buckets) archive(bucket);
  archive(it.feeds, it.statements, it.after_signer, capped<subject_bytes_most>(it.after_subject));
}
template <class A>
void serialize(A& archive, FeedPoint& it) {
  archive(it.feed, it.sequence, it.root);
}
template <class A>
void serialize(A& archive, FeedHeads& it) {
  archive(it.library, capped<feeds_most>(it.feeds));
}
template <class A>
void serialize(A& archive, EntriesWanted& it) {
  archive(it.point, it.from);
}
template <class A>
void serialize(A& archive, EntriesGiven& it) {
  archive(it.point, it.from);
  runs<entries_most, entry_bytes_most>(archive, it.entries);
  archive(capped<note_bytes_most>(it.head_note), capped<proof_hashes_most>(it.proof));
}
template <class A>
void serialize(A& archive, StatementMark& it) {
  archive(it.signer, capped<subject_bytes_most>(it.subject), it.number);
}
template <class A>
void serialize(A& archive, StatementMarks& it) {
  archive(it.library, capped<statements_most>(it.marks), it.more);
}
template <class A>
void serialize(A& archive, StatementWanted& it) {
  archive(it.library, it.signer, capped<subject_bytes_most>(it.subject));
}
template <class A>
void serialize(A& archive, StatementGiven& it) {
  archive(it.library, it.signer, capped<subject_bytes_most>(it.subject), it.number, capped<statement_bytes_most>(it.bytes));
}
template <class A>
void serialize(A& archive, ObjectId& it) {
  archive(it.library, it.kind, it.sha256);
}
template <class A>
void serialize(A& archive, SliceWanted& it) {
  archive(it.object, it.offset);
}
template <class A>
void serialize(A& archive, SliceGiven& it) {
  archive(it.object, it.offset, it.size_bytes, capped<slice_bytes_most>(it.bytes));
}
template <class A>
void serialize(A& archive, ObjectUnavailable& it) {
  archive(it.object);
}
template <class A>
void serialize(A& archive, Versions& it) {
  archive(it.realm, it.root, it.policy, it.freshness);
}

Bytes encode(const Message& message) {
  Bytes out{protocol_version};
  if (const auto* slice = std::get_if<SliceGiven>(&message)) out.reserve(slice->bytes.size() + 256);
  archive::Encoder to(out);
  to(message);
  return out;
}

Result<Message> decode(ByteView bytes, std::size_t bytes_most) {
  if (bytes.size() > bytes_most) return fail(Fault::over_limit, "a message of " + std::to_string(bytes.size()) + " bytes");
  if (bytes.size() < 2) return fail(Fault::malformed, "a message cut short");
  if (bytes[0] != protocol_version) return fail(Fault::unsupported, "a message of another protocol");
  if (bytes[1] >= std::variant_size_v<Message>) return fail(Fault::unsupported, "a message of a kind that this build does not know");
  return archive::decode<Message>(bytes.subspan(1), bytes_most, "message");
}

}  // namespace dozo::sync
