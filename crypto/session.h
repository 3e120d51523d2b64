// Session: a person's certificate for one device, so that the person's key is needed once in half a day and not at every save.
// Threads: pure functions.
#pragma once
#include <vector>

#include "crypto/identity.h"

namespace dozo::crypto {

inline constexpr std::int64_t session_ms_most = 12 * 60 * 60 * 1000;
inline constexpr std::size_t session_bytes_most = 4096;
inline constexpr std::size_t session_libraries_most = 64;

struct SessionCertificate {
  PersonId person;
  NodeId device;
  std::vector<LibraryId> libraries;  ///< at most session_libraries_most; none: every one
  VerifyKey session;                 ///< signs the records
  std::int64_t not_before_ms{}, not_after_ms{};
  bool covers(const LibraryId& library) const;
  bool operator==(const SessionCertificate&) const = default;
};

/// Needs no more than session_libraries_most libraries. The certificate's encoding and the person's signature over it, together: what a record carries.
Bytes issue(const SessionCertificate& certificate, const SigningKey& person);
/// What stands in an issued certificate, unchecked: whose key must be looked up. Faults: over_limit, malformed.
Result<SessionCertificate> read_certificate(ByteView issued);
/// Faults: over_limit, malformed, not_authentic (another key, longer than 12 h, before 1970).
Result<SessionCertificate> open_certificate(ByteView issued, const VerifyKey& person);

}  // namespace dozo::crypto
