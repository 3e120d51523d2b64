// Secret: key material as a type with a purpose. Lives in guarded, locked memory; wiped when it goes; never copied, printed, hashed or
// compared but in constant time. `reveal` is the word at every place where the bytes are used.
// Threads: as a plain value.
#pragma once
#include <memory>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/invariant.h"

namespace dozo::crypto {

namespace detail {
struct FreeLocked {
  void operator()(std::uint8_t* bytes) const noexcept;
};
using Locked = std::unique_ptr<std::uint8_t[], FreeLocked>;
Locked allocate_locked(std::size_t size);  ///< aborts where there is no memory left
void wipe(void* bytes, std::size_t size);
bool equal_in_constant_time(const std::uint8_t* a, const std::uint8_t* b, std::size_t size);
void fill_random(std::uint8_t* bytes, std::size_t size);
}  // namespace detail

template <std::size_t size_bytes, class Purpose>
class Secret {
 public:
  static constexpr std::size_t size = size_bytes;

  static Secret random() {
    Secret out;
    detail::fill_random(out.bytes_.get(), size);
    return out;
  }
  static Result<Secret> from(ByteView bytes) {
    if (bytes.size() != size) return fail(Fault::malformed, "a key of the wrong length");
    Secret out;
    std::memcpy(out.bytes_.get(), bytes.data(), size);
    return out;
  }
  /// Filled by `fill`, which gets the bytes to write.
  template <class Fill>
  static Secret made_by(Fill&& fill) {
    Secret out;
    fill(std::span<std::uint8_t, size>(out.bytes_.get(), size));
    return out;
  }
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&&) noexcept = default;

  Secret copy() const { return std::move(*from(reveal())); }
  /// Not of a secret that was moved away.
  std::span<const std::uint8_t, size> reveal() const {
    INVARIANT(bytes_ != nullptr);
    return std::span<const std::uint8_t, size>(bytes_.get(), size);
  }
  bool equals(const Secret& other) const { return detail::equal_in_constant_time(reveal().data(), other.reveal().data(), size); }

 private:
  Secret() : bytes_(detail::allocate_locked(size)) {}
  detail::Locked bytes_;
};

/// Secret bytes of any length, in the same memory: what key files hold, and passphrases.
class SecretBytes {
 public:
  SecretBytes() = default;
  /// Takes the bytes out of `bytes` and wipes what was there.
  explicit SecretBytes(Bytes bytes) : bytes_(bytes.empty() ? nullptr : detail::allocate_locked(bytes.size())), size_(bytes.size()) {
    if (bytes.empty()) return;
    std::memcpy(bytes_.get(), bytes.data(), size_);
    detail::wipe(bytes.data(), bytes.size());
  }
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ByteView reveal() const { return {bytes_.get(), size_}; }

 private:
  detail::Locked bytes_;
  std::size_t size_ = 0;
};

}  // namespace dozo::crypto
