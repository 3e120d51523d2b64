#include "crypto/shares.h"

extern "C" {
#include <libgfshare.h>
}

#include <map>

#include "base/archive.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

constexpr std::string_view prefix = "dozo-share-1 ";

struct Share {
  FixedBytes<8, struct SetTag> set;  ///< random: which cut
  std::uint8_t threshold{}, number{};
  Digest whole;  ///< SHA-256 of (label, set, secret)
  FixedBytes<32, struct PartTag> part;
  FixedBytes<4, struct CheckTag> check;  ///< of all before it: for typing mistakes
};
template <class A>
void serialize(A& archive, Share& it) {
  archive(it.set, it.threshold, it.number, it.whole, it.part, it.check);
}

FixedBytes<4, struct CheckTag> check_of(Share it) {
  it.check = {};
  return *FixedBytes<4, struct CheckTag>::from(sha256({view_of("dozo share 1 check"), archive::encode(it)}).view().first(4));
}
Digest whole_of(const Share& it, const SharedSecret& secret) { return sha256({view_of("dozo share 1 whole"), it.set.bytes, secret.reveal()}); }

void fill(unsigned char* out, unsigned size) { random_bytes(ByteSpan(out, size)); }

Result<Share> parse(std::string_view text, std::size_t place) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  const auto damaged = [&] { return fail(Fault::malformed, "share " + std::to_string(place) + " is damaged or no share"); };
  if (!text.starts_with(prefix)) return damaged();
  const auto bytes = from_base64(text.substr(prefix.size()));
  if (!bytes) return damaged();
  const auto it = archive::decode<Share>(*bytes, 256, "a share");
  if (!it || check_of(*it) != it->check || it->number == 0 || it->threshold == 0) return damaged();
  return *it;
}

}  // namespace

Result<std::vector<std::string>> split(const SharedSecret& secret, unsigned threshold, unsigned count) {
  if (threshold < 1 || threshold > count || count > 255) return fail(Fault::malformed, "shares need 1 <= threshold <= count <= 255");
  Share share;
  random_bytes(share.set.bytes);
  share.threshold = static_cast<std::uint8_t>(threshold);
  share.whole = whole_of(share, secret);
  Bytes numbers;
  for (unsigned i = 1; i <= count; ++i) numbers.push_back(static_cast<std::uint8_t>(i));
  gfshare_fill_rand = &fill;
  gfshare_ctx* context = gfshare_ctx_init_enc(numbers.data(), count, static_cast<unsigned char>(threshold), SharedSecret::size);
  if (context == nullptr) return fail(Fault::unavailable, "no memory for shares");
  gfshare_ctx_enc_setsecret(context, const_cast<unsigned char*>(secret.reveal().data()));
  std::vector<std::string> out;
  for (unsigned i = 0; i < count; ++i) {
    share.number = numbers[i];
    gfshare_ctx_enc_getshare(context, static_cast<unsigned char>(i), share.part.bytes.data());
    share.check = check_of(share);
    out.push_back(std::string(prefix) + to_base64(archive::encode(share)));
  }
  gfshare_ctx_free(context);
  detail::wipe(share.part.bytes.data(), share.part.bytes.size());
  return out;
}

Result<SharedSecret> combine(std::span<const std::string> texts) {
  std::map<std::uint8_t, Share> shares;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Share share = TRY(parse(texts[i], i + 1));
    if (!shares.empty() &&
        (share.set != shares.begin()->second.set || share.threshold != shares.begin()->second.threshold || share.whole != shares.begin()->second.whole)) {
      return fail(Fault::not_authentic, "share " + std::to_string(i + 1) + " is of another set");
    }
    shares.emplace(share.number, share);
  }
  const std::size_t needed = shares.empty() ? 1 : shares.begin()->second.threshold;
  if (shares.size() < needed) return fail(Fault::not_found, std::to_string(shares.size()) + " different shares, and " + std::to_string(needed) + " are needed");
  Bytes numbers;
  for (const auto& [number, share] : shares) numbers.push_back(number);
  gfshare_fill_rand = &fill;  // the library calls it when it frees a context, and has none of its own
  gfshare_ctx* context = gfshare_ctx_init_dec(numbers.data(), static_cast<unsigned>(numbers.size()), SharedSecret::size);
  if (context == nullptr) return fail(Fault::unavailable, "no memory for shares");
  unsigned char place = 0;
  for (auto& [number, share] : shares) gfshare_ctx_dec_giveshare(context, place++, share.part.bytes.data());
  SharedSecret out = SharedSecret::made_by([&](std::span<std::uint8_t, 32> bytes) { gfshare_ctx_dec_extract(context, bytes.data()); });
  gfshare_ctx_free(context);
  for (auto& [number, share] : shares) detail::wipe(share.part.bytes.data(), share.part.bytes.size());
  if (whole_of(shares.begin()->second, out) != shares.begin()->second.whole) return fail(Fault::not_authentic, "the shares do not make what was cut");
  return out;
}

}  // namespace dozo::crypto
