#include <algorithm>
#include <array>

#include "base/invariant.h"
#include "crypto/checkpoint.h"
#include "crypto/key_file.h"
#include "crypto/merkle.h"
#include "crypto/pack_seal.h"
#include "crypto/session.h"
#include "crypto/shares.h"
#include "tests/fuzz/targets.h"

namespace dozo::fuzz {
namespace {

bool checkpoint(ByteView bytes) {
  const auto it = crypto::open_checkpoint(text_of(bytes), "dozo/example", signing_key().public_key());
  if (!it) return false;
  INVARIANT(crypto::sign_checkpoint(*it, signing_key()) == text_of(bytes));
  return true;
}

bool certificate(ByteView bytes) {
  const auto read = crypto::read_certificate(bytes);
  const auto opened = crypto::open_certificate(bytes, signing_key().public_key());
  if (opened) INVARIANT(read && *read == *opened && crypto::issue(*opened, signing_key()) == bytes_of(bytes));
  return read.has_value();
}

/// Reads, and opens with a key where no Argon2id is asked for.
bool key_file(ByteView bytes) {
  const auto it = crypto::read_key_file(text_of(bytes));
  if (!it) return false;
  if (it->protection == crypto::Protection::key) {
    const auto secret = crypto::unlock(text_of(bytes), {crypto::Protection::key, crypto::SecretBytes(Bytes(32, 'k'))});
    INVARIANT(!secret || secret->reveal().size() <= crypto::key_file_part_bytes_most);
  }
  return true;
}

/// Lines, each a share.
bool shares(ByteView bytes) {
  std::vector<std::string> lines(1);
  for (const char c : text_of(bytes)) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back().push_back(c);
    }
  }
  if (lines.back().empty()) lines.pop_back();
  return crypto::combine(lines).has_value();
}

bool sealed_pack(ByteView bytes) {
  static const auto key = crypto::EpochKey::made_by([](auto out) { std::ranges::copy(counted<Digest>(0).bytes, out.begin()); });
  const auto header = crypto::check_sealed(bytes);
  const auto plain = crypto::open_pack(key, bytes, feed.library);
  if (plain) INVARIANT(header && header->library == feed.library && crypto::sealed_bytes(plain->size()) == bytes.size());
  return header.has_value();
}

bool frontier(ByteView bytes) {
  const auto it = crypto::Frontier::decode(bytes);
  if (!it) return false;
  INVARIANT(it->encode() == bytes_of(bytes));
  return true;
}

constexpr std::array targets{Target{"checkpoint", checkpoint}, Target{"certificate", certificate}, Target{"key_file", key_file},
                             Target{"shares", shares},         Target{"sealed_pack", sealed_pack}, Target{"frontier", frontier}};

}  // namespace

std::span<const Target> crypto_targets() { return targets; }

}  // namespace dozo::fuzz
