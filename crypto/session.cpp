#include "crypto/session.h"

#include <algorithm>

#include "base/archive.h"
#include "base/invariant.h"

namespace dozo::crypto {
namespace {

constexpr std::string_view context = "dozo session 1";

struct Issued {
  std::uint8_t format = 1;
  Bytes certificate;
  Signature signature;
};
template <class A>
void serialize(A& archive, Issued& it) {
  archive(it.format, dozo::archive::capped<session_bytes_most>(it.certificate), it.signature);
}

Result<Issued> read_issued(ByteView bytes) {
  Issued it = TRY(archive::decode<Issued>(bytes, session_bytes_most, "a session certificate"));
  if (it.format != 1) return fail(Fault::unsupported, "a session certificate of a newer format");
  return it;
}

}  // namespace

template <class A>
void serialize(A& archive, SessionCertificate& it) {
  archive(it.person, it.device, dozo::archive::capped<session_libraries_most>(it.libraries), it.session, it.not_before_ms, it.not_after_ms);
}

bool SessionCertificate::covers(const LibraryId& library) const { return libraries.empty() || std::ranges::find(libraries, library) != libraries.end(); }

Bytes issue(const SessionCertificate& certificate, const SigningKey& person) {
  INVARIANT(certificate.libraries.size() <= session_libraries_most);
  Issued it;
  it.certificate = archive::encode(certificate);
  it.signature = sign(person, context, it.certificate);
  return archive::encode(it);
}

Result<SessionCertificate> read_certificate(ByteView issued) {
  return archive::decode<SessionCertificate>(TRY(read_issued(issued)).certificate, session_bytes_most, "a session certificate");
}

Result<SessionCertificate> open_certificate(ByteView issued, const VerifyKey& person) {
  const Issued it = TRY(read_issued(issued));
  TRY(verify(person, context, it.certificate, it.signature));
  SessionCertificate out = TRY(archive::decode<SessionCertificate>(it.certificate, session_bytes_most, "a session certificate"));
  // Not negative first, so that the difference cannot overflow.
  if (out.not_before_ms < 0 || out.not_after_ms <= out.not_before_ms || out.not_after_ms - out.not_before_ms > session_ms_most) {
    return fail(Fault::not_authentic, "a session that is longer than twelve hours, or ends before it begins");
  }
  return out;
}

}  // namespace dozo::crypto
