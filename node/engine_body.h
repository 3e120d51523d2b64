// The inside of Engine, shared by its two sources. Private to engine.cpp and engine_requests.cpp.
#pragma once
#include "crypto/session.h"
#include "node/arrived_packs.h"
#include "node/engine.h"
#include "node/objects.h"
#include "node/receipts.h"

namespace dozo::node {

class Engine::Body {
 public:
  struct Session {
    crypto::SessionCertificate certificate;
    Bytes issued;
    crypto::SigningKey key;
    std::string role;
  };
  struct Introduction {
    std::int64_t at_ms{}, wait_ms{};
  };

  Body(EngineContext context, std::unique_ptr<Realm> realm, Now now);

  LibraryContext library_context();
  void open_libraries();
  void tell_sync(const sync::Input& input, Now now);
  void settle(Now now);
  bool take_changes(Now now);
  bool keep_packs(Now now);
  bool kept(ArrivedPacks::Batch batch, Now now);
  void catch_up(Now now);
  Result<void> make_receipt(const LibraryId& id, Now now);
  bool make_receipts(Now now);
  bool sign_freshness(Now now);
  void judge_due(Now now);
  void introduce(Now now);
  std::vector<Bytes> introduction_for(const NodeId& peer) const;

  std::vector<Peer> peers() const;
  Library* find(const LibraryId& id) const;
  Result<Library*> named(const std::string& name) const;
  Result<void> check_open(const LibraryId& id, Now now) const;
  Result<SaveKeys> begin_save(const std::string& name, Now now);
  Result<Capacity> capacity(const LibraryId& id, Now now) const;
  Result<Prepared> prepare(const LibraryId& id, std::span<const Act> acts, const std::string& text, Library::PassedOver* passed_over, Now now);
  Result<Sequence> commit(const LibraryId& id, const Prepared& prepared, std::vector<Library::StoredPack> stored,
                          const std::vector<store::SealedPack>& with_entry, Now now);
  local::Replicas replicas(const LibraryId& id) const;
  std::vector<std::string> notices(Now now) const;

  /// A fault of the store stays as a notice; the caller goes on with what still works.
  template <class T>
  Result<T> noted(Result<T> result) {
    if (!result && (result.error().fault == Fault::corrupt || result.error().fault == Fault::unavailable)) store_fault_ = result.error();
    return result;
  }

  // ---- answers (engine_requests.cpp)
  Result<local::Answer> answer(const local::StatusRequest&, Now now);
  Result<local::Answer> answer(const local::PeersRequest&, Now now);
  Result<local::Answer> answer(const local::LibrariesRequest&, Now now);
  Result<local::Answer> answer(const local::ReplicasRequest& request, Now now);
  Result<local::Answer> answer(const local::ListRequest& request, Now now);
  Result<local::Answer> answer(const local::LogRequest& request, Now now);
  Result<local::Answer> answer(const local::PutRequest& request, Now now);
  Result<local::Answer> answer(const local::MoveRequest& request, Now now);
  Result<local::Answer> answer(const local::RemoveRequest& request, Now now);
  Result<local::Answer> answer(const local::ConflictsRequest& request, Now now);
  Result<local::Answer> answer(const local::ResolveRequest& request, Now now);
  Result<local::Answer> answer(const local::StatRequest& request, Now now);
  Result<local::Answer> answer(const local::ReadRequest& request, Now now);
  Result<local::Answer> answer(const local::OfferRequest& request, Now now);
  Result<local::Answer> answer(const local::SessionRequest& request, Now now);
  Result<local::Answer> answer(const local::ExplainRequest& request, Now now);
  Result<local::Answer> answer(const local::WhoCanRequest& request, Now now);
  Result<local::Answer> answer(const local::SubjectsRequest& request, Now now);
  Result<local::Answer> answer(const local::UnitRequest& request, Now now);
  Result<local::Answer> answer(const local::HeadsRequest& request, Now now);
  Result<local::Answer> answer(const local::DocumentsRequest&, Now now);
  Result<local::Answer> answer(const local::EndSessionRequest&, Now now);
  Result<local::Answer> answer(const local::CommitRequest& request, Now now);
  Result<local::Answer> answer(const local::DiffRequest& request, Now now);
  Result<local::Answer> answer(const local::RestoreRequest& request, Now now);
  Result<local::Answer> answer(const local::TagRequest& request, Now now);
  std::optional<local::SessionRow> session(Now now) const;
  Result<Library*> readable(const std::string& name, Now now) const;
  Result<local::Answer> act(const std::string& library, const Act& act, const std::string& text, Now now);
  struct SmallContent {
    std::string path, text;
  };
  Result<void> save_parts(const SaveKeys& keys, std::span<const Act> parts, const std::string& text, local::Saved& saved, Now now,
                          std::vector<std::string>* passed_over = nullptr);
  Result<void> save_acts(const SaveKeys& keys, std::span<const Act> acts, const std::string& text, local::Saved& saved, Now now,
                         Library::PassedOver* passed_over = nullptr, const SmallContent* content = nullptr);
  local::LibraryRow row_of(const Library& library) const;

  EngineContext context_;
  std::unique_ptr<Realm> realm_;
  Libraries libraries_;
  std::map<LibraryId, Error> unopened_;  ///< those that the policy gives this node and that could not be opened, and why
  mutable RefusalLog refusals_;
  Objects objects_;
  sync::Sync sync_;
  std::vector<Output> outputs_;
  std::set<NodeId> up_;
  std::optional<Session> session_;
  std::optional<local::SessionRow> lost_session_ = context_.lost_session;  ///< of the daemon before
  std::set<LibraryId> changed_;                                            ///< in which something changed that sync does not know yet
  std::optional<std::int64_t> sync_wake_ms_;

  ArrivedPacks arrived_;
  std::vector<sync::KeepPack> keeping_;  ///< the next batch for it
  std::size_t keeping_bytes_ = 0;
  std::int64_t keep_since_ms_ = 0;
  std::int64_t keep_again_ms_ = 0;           ///< not before: they could not be written
  std::optional<std::int64_t> catch_up_ms_;  ///< when what is derived is tried again
  std::set<PackAddress> damaged_;            ///< asked of peers again

  std::set<LibraryId> receipts_due_;
  std::map<LibraryId, std::int64_t> receipt_made_ms_;
  std::optional<std::int64_t> receipt_wake_ms_;

  std::int64_t started_ms_ = 0;
  std::int64_t freshness_tried_ms_ = 0;
  std::optional<std::int64_t> freshness_wake_ms_;
  std::map<NodeId, Introduction> introductions_;
  bool introduce_due_ = true;  ///< links or policy are others than when peers were last looked through
  std::optional<std::int64_t> introduce_wake_ms_, due_wake_ms_;
  Realm::StoppedNow stopped_;      ///< by which libraries have judged
  std::int64_t judged_at_ms_ = 0;  ///< the latest trusted time since the clock was put back

  std::set<NodeId> forked_;
  std::optional<Error> store_fault_, keep_fault_, freshness_fault_;
};

}  // namespace dozo::node
