#include "node/local_messages.h"

#include "base/archive.h"

// One line a type: the fields in the order of the header, with the cap of each. The version leads every message.
namespace dozo::node::local {

using archive::capped;
inline constexpr std::size_t path_most = 8192, text_most = 4096, name_most = 1024, rows_most = 16'384, unit_bytes_most = 6U << 20;

template <class A>
void serialize(A&, StatusRequest&) {}
template <class A>
void serialize(A&, PeersRequest&) {}
template <class A>
void serialize(A&, LibrariesRequest&) {}
template <class A>
void serialize(A&, DocumentsRequest&) {}
template <class A>
void serialize(A&, EndSessionRequest&) {}
template <class A>
void serialize(A& a, ReplicasRequest& r) {
  a(capped<name_most>(r.library));
}
template <class A>
void serialize(A& a, ListRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.folder), capped<path_most>(r.after), capped<name_most>(r.at), r.recursive, r.limit);
}
template <class A>
void serialize(A& a, LogRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.path), r.before, r.limit, capped<name_most>(r.at));
}
struct Line {
  std::string text;
};
template <class A>
void serialize(A& a, Line& r) {
  a(capped<path_most>(r.text));
}
/// A vector of strings, each capped like a path.
template <class A>
void lines(A& a, std::vector<std::string>& strings) {
  std::vector<Line> rows;
  if constexpr (std::is_same_v<A, archive::Encoder>) {
    for (const std::string& text : strings) rows.push_back({text});
    a(capped<100'000>(rows));
  } else {
    a(capped<100'000>(rows));
    strings.clear();
    for (Line& row : rows) strings.push_back(std::move(row.text));
  }
}
template <class A>
void serialize(A& a, PutRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.source), capped<path_most>(r.target), capped<text_most>(r.text), r.contents_only, r.reread);
  lines(a, r.exclude);
}
template <class A>
void serialize(A& a, MoveRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.from), capped<path_most>(r.to), capped<text_most>(r.text));
}
template <class A>
void serialize(A& a, RemoveRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.path), capped<text_most>(r.text), r.recursive);
}
template <class A>
void serialize(A& a, ConflictsRequest& r) {
  a(capped<name_most>(r.library));
}
template <class A>
void serialize(A& a, ResolveRequest& r) {
  bool has = r.use.has_value();
  a(capped<name_most>(r.library), capped<path_most>(r.path), capped<text_most>(r.text), has);
  if (has) {
    if (!r.use) r.use.emplace();
    a(capped<path_most>(*r.use));
  }
}
template <class A>
void serialize(A& a, StatRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.path), capped<name_most>(r.at));
}
template <class A>
void serialize(A& a, CommitRequest& r) {
  a(capped<name_most>(r.library), capped<name_most>(r.id), r.time_ms, capped<name_most>(r.tag));
}
template <class A>
void serialize(A& a, TagRequest& r) {
  a(capped<name_most>(r.library), capped<name_most>(r.name), capped<text_most>(r.text));
}
template <class A>
void serialize(A& a, DiffRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.path), capped<name_most>(r.from), capped<name_most>(r.to), r.skip, r.limit);
}
template <class A>
void serialize(A& a, RestoreRequest& r) {
  a(capped<name_most>(r.library), capped<path_most>(r.path), capped<name_most>(r.at), capped<text_most>(r.text), r.exact);
}
template <class A>
void serialize(A& a, ReadRequest& r) {
  a(capped<name_most>(r.library), r.manifest, r.offset, r.length);
}
struct Blob {
  Bytes bytes;
};
template <class A>
void serialize(A& a, Blob& r) {
  a(capped<message_bytes_most>(r.bytes));
}
template <class A>
void blobs(A& a, std::vector<Bytes>& runs) {
  std::vector<Blob> rows;
  if constexpr (std::is_same_v<A, archive::Encoder>) {
    for (const Bytes& run : runs) rows.push_back({run});
    a(capped<rows_most>(rows));
  } else {
    a(capped<rows_most>(rows));
    runs.clear();
    for (Blob& row : rows) runs.push_back(std::move(row.bytes));
  }
}
template <class A>
void serialize(A& a, OfferRequest& r) {
  blobs(a, r.envelopes);
}
template <class A>
void serialize(A& a, SessionRequest& r) {
  a(capped<65536>(r.certificate), capped<64>(r.signature), capped<32>(r.session_seed), capped<name_most>(r.role), capped<name_most>(r.who));
}
template <class A>
void serialize(A& a, ExplainRequest& r) {
  a(capped<name_most>(r.who), capped<name_most>(r.action), capped<name_most>(r.library), r.time_ms);
}
template <class A>
void serialize(A& a, WhoCanRequest& r) {
  a(capped<name_most>(r.action), capped<name_most>(r.library), r.time_ms);
}
template <class A>
void serialize(A& a, SubjectsRequest& r) {
  for (auto* list : {&r.nodes, &r.people, &r.libraries, &r.orgs, &r.roles}) lines(a, *list);
}
template <class A>
void serialize(A& a, HeadsRequest& r) {
  a(r.node, r.person);
}

template <class A>
void serialize(A& a, UnitRequest& r) {
  a(capped<name_most>(r.unit), capped<unit_bytes_most>(r.plain), capped<unit_bytes_most>(r.envelope));
}

template <class A>
void serialize(A& a, Refusal& r) {
  a(r.fault, capped<text_most>(r.text));
}
template <class A>
void serialize(A& a, Done& r) {
  a(capped<text_most>(r.text));
}
template <class A>
void serialize(A& a, LibraryRow& r) {
  a(r.id, capped<name_most>(r.title), capped<name_most>(r.holding), r.epoch, r.documents, r.entries, r.packs, r.pack_bytes, r.packs_missing, r.conflicts,
    r.refused);
}
template <class A>
void serialize(A& a, SessionRow& r) {
  a(r.person, capped<name_most>(r.role), r.until_ms, capped<name_most>(r.state), capped<rows_most>(r.libraries));
}
/// Whether it is there, and it.
template <class A, class T>
void maybe(A& a, std::optional<T>& it) {
  bool has = it.has_value();
  a(has);
  if (!has) return;
  if (!it) it.emplace();
  a(*it);
}
template <class A>
void serialize(A& a, Status& r) {
  a(r.node, capped<name_most>(r.name), capped<name_most>(r.kind), capped<name_most>(r.state), r.realm, r.policy, r.freshness, r.time_ms, r.peers_up, r.peers,
    r.sent_bytes, r.received_bytes, capped<rows_most>(r.libraries));
  lines(a, r.notices);
  maybe(a, r.session);
}
template <class A>
void serialize(A& a, PeerRow& r) {
  a(r.id, capped<name_most>(r.name), capped<name_most>(r.kind), capped<name_most>(r.zone), capped<name_most>(r.address), r.up, r.sent_bytes, r.received_bytes);
}
template <class A>
void serialize(A& a, Peers& r) {
  a(capped<rows_most>(r.rows));
}
template <class A>
void serialize(A& a, Libraries& r) {
  a(capped<rows_most>(r.rows));
}
template <class A>
void serialize(A& a, ReplicaRow& r) {
  a(r.node, capped<name_most>(r.name), capped<name_most>(r.holding), capped<name_most>(r.statement), r.number, r.time_ms, r.entries_behind);
}
template <class A>
void serialize(A& a, Replicas& r) {
  a(capped<rows_most>(r.rows), r.copies_wanted, r.is_protected);
}
template <class A>
void serialize(A& a, ListRow& r) {
  a(capped<path_most>(r.path), capped<name_most>(r.kind), r.document, r.manifest, r.sha256, r.size, r.time_ms, r.executable, r.in_conflict);
}
template <class A>
void serialize(A& a, Listing& r) {
  a(capped<rows_most>(r.rows), r.more);
}
template <class A>
void serialize(A& a, DifferenceRow& r) {
  a(capped<path_most>(r.path));
  maybe(a, r.before);
  maybe(a, r.after);
}
template <class A>
void serialize(A& a, Differences& r) {
  a(capped<rows_most>(r.rows), r.more);
}
template <class A>
void serialize(A& a, LogRow& r) {
  a(r.number, capped<name_most>(r.commit), capped<name_most>(r.author), capped<text_most>(r.text), r.person, r.device, capped<name_most>(r.role), r.time_ms,
    r.paths_cut);
  lines(a, r.paths);
}
template <class A>
void serialize(A& a, Log& r) {
  a(capped<rows_most>(r.rows), r.more);
}
template <class A>
void serialize(A& a, Progress& r) {
  a(r.files, r.bytes, r.files_total, r.bytes_total);
}
template <class A>
void serialize(A& a, Saved& r) {
  a(r.files, r.unchanged, r.bytes, r.new_bytes, r.records, r.removed, r.feed, r.sequence, r.person, capped<name_most>(r.role), capped<name_most>(r.who));
  lines(a, r.skipped);
}
template <class A>
void serialize(A& a, ConflictRow& r) {
  a(capped<name_most>(r.kind), capped<path_most>(r.path), r.document);
  lines(a, r.paths);
}
template <class A>
void serialize(A& a, Conflicts& r) {
  a(capped<100'000>(r.rows));
}
template <class A>
void serialize(A& a, Stat& r) {
  a(r.row, r.mode, r.modified_ns);
}
template <class A>
void serialize(A& a, Data& r) {
  a(capped<read_bytes_most>(r.bytes));
}
template <class A>
void serialize(A& a, Offered& r) {
  a(r.policy);
  lines(a, r.refused);
}
template <class A>
void serialize(A& a, Explained& r) {
  a(r.allowed, capped<65536>(r.text));
}
template <class A>
void serialize(A& a, AbleRow& r) {
  a(capped<name_most>(r.name), capped<name_most>(r.shown), capped<name_most>(r.role), capped<name_most>(r.org));
  lines(a, r.permits);
}
template <class A>
void serialize(A& a, Able& r) {
  a(capped<Able::rows_most>(r.rows), r.more, r.policy);
}
template <class A>
void serialize(A& a, HeadRow& r) {
  a(r.feed, r.sequence, r.root);
}
template <class A>
void serialize(A& a, Heads& r) {
  a(capped<100'000>(r.rows), capped<100'000>(r.libraries));
}
template <class A>
void serialize(A& a, Subjects& r) {
  a(capped<rows_most>(r.nodes), capped<rows_most>(r.people), capped<rows_most>(r.libraries));
  blobs(a, r.suspensions);
}
template <class A>
void serialize(A& a, Documents& r) {
  blobs(a, r.envelopes);
}
template <class A>
void serialize(A& a, Unit& r) {
  a(capped<32>(r.keys), r.threshold, r.listed, capped<unit_bytes_most>(r.newest), capped<unit_bytes_most>(r.plain), capped<unit_bytes_most>(r.sealed));
  blobs(a, r.envelopes);
}

namespace {

template <class Body>
struct Versioned {
  std::uint16_t version{protocol_version};
  Body body;
};
template <class A, class Body>
void serialize(A& archive, Versioned<Body>& it) {
  archive(it.version);
  if (it.version != protocol_version) throw archive::Refused{Fault::unsupported, "dozo and its daemon are of different versions"};
  archive(it.body);
}

template <class Body>
Result<Body> decode_versioned(ByteView bytes, std::string_view what) {
  return std::move(TRY(archive::decode<Versioned<Body>>(bytes, message_bytes_most, what)).body);
}

}  // namespace

Bytes encode_request(const Request& request) { return archive::encode(Versioned<Request>{protocol_version, request}); }
Result<Request> decode_request(ByteView bytes) { return decode_versioned<Request>(bytes, "a local request"); }
Bytes encode_answer(const Answer& answer) { return archive::encode(Versioned<Answer>{protocol_version, answer}); }
Result<Answer> decode_answer(ByteView bytes) { return decode_versioned<Answer>(bytes, "a local answer"); }

}  // namespace dozo::node::local
