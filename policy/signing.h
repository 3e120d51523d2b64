// Signing: what custodians carry to their own machines to be signed there, and the signatures that they bring back (docs/policy.md, section 9).
//
// A draft file has all that a custodian needs to see for himself what he signs, on a machine that knows nothing but the realm's id: the chain of roots, the
// documents, what they follow, and the key of the directory, which is sealed. So it is as secret as the directory is. Notes of HQ's machine are not in it: what
// describe() says is found in the documents. A signatures file is not secret.
// Not here: making the documents (authoring.h), files and passphrases.
// Threads: plain values and pure functions.
#pragma once
#include <string>
#include <vector>

#include "policy/authoring.h"

namespace dozo::policy {

inline constexpr std::size_t draft_bytes_most = std::size_t{256} << 20, signatures_bytes_most = std::size_t{4} << 20;

/// A publication, or a root alone, on its way to its signatures.
struct DraftFile {
  RealmId realm;
  std::vector<Bytes> roots;  ///< from the first to the newest: envelopes
  Publication documents;     ///< "root" alone; or mesh, directory, epochs, grants and what units signed, signed as far as they are
  Publication before;        ///< mesh, directory, epochs and units' documents that are in force; none in a realm's first publication, nor with a root
  KeyRing directory_keys;    ///< those that open the directories and units' documents of both
  PolicyVersion version;     ///< that the snapshot will have; 0 with a root
  std::uint32_t snapshot_days{}, freshness_hours{};
  bool is_root() const { return documents.contains("root"); }
};
/// Faults: over_limit, malformed, unsupported (a newer format). Nothing is verified yet.
Result<DraftFile> read_draft_file(ByteView text);
Bytes write_draft_file(const DraftFile& it);

/// The root that the draft's chain leads to, each signed as section 5 wants. Fault: not_authentic, also where the chain is not that of `realm`.
Result<Root> root_of(const DraftFile& draft);

/// What a document still needs. A root needs the root keys of both: its own, and the one before it.
struct Lack {
  std::string document, role;
  std::uint32_t signatures{}, threshold{};
};
/// Empty: it can be published. Faults: those of root_of and of reading the documents.
Result<std::vector<Lack>> lacking(const DraftFile& draft);

/// For who signs to read, one line each: which documents, of which version, after which; who gains and loses what, whom cuts concern, or which keys a root adds
/// and drops. Faults: not_authentic (the documents before are not signed, or are not those which these follow; grants to nodes that may not have them),
/// denied (one of the policy's own tests fails), malformed.
Result<std::vector<std::string>> describe(const DraftFile& draft, std::int64_t now_ms);

/// A line for each member of the document that is new, gone or other than before; not of its version and dates. Fault: over_limit.
Result<std::vector<std::string>> changes_of(const Mesh& before, const Mesh& after);
Result<std::vector<std::string>> changes_of(const Directory& before, const Directory& after);
Result<std::vector<std::string>> changes_of(const OrgDocument& before, const OrgDocument& after);

/// One signature over one of the documents.
struct MadeSignature {
  std::string document;
  Digest payload_sha256;
  EnvelopeSignature signature;
  bool operator==(const MadeSignature&) const = default;
};
struct SignaturesFile {
  RealmId realm;
  std::vector<MadeSignature> signatures;
  bool operator==(const SignaturesFile&) const = default;
};
/// Faults: over_limit, malformed, unsupported.
Result<SignaturesFile> read_signatures_file(ByteView text);
Bytes write_signatures_file(const SignaturesFile& it);

/// The signatures of `key` under everything of the draft that its roles sign, and that lacks signatures. Faults: those of root_of; denied (no document wants
/// it).
Result<SignaturesFile> sign_draft(const DraftFile& draft, const crypto::SigningKey& key);
/// Takes signatures into the draft, and says of how many documents; those that are there already count again. All or none. Faults: denied (another realm, or
/// another draft than was signed), not_authentic (a wrong signature, or by a key whose role does not sign that document).
Result<std::size_t> add_signatures(DraftFile& draft, const SignaturesFile& from);

}  // namespace dozo::policy
