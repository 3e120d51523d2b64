// Secret: key material as a type with a purpose. Lives in guarded, locked memory; wiped when it goes; never copied, printed, hashed or
// compared but in constant time. `reveal` is the word at every place where the bytes are used.
// Threads: as a plain value.
#pragma once
#include <memory>
#include <span>
#include <utility>

#include "base/bytes.h"

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
  std::span<const std::uint8_t, size> reveal() const { return std::span<const std::uint8_t, size>(bytes_.get(), size); }
  bool equals(const Secret& other) const { return detail::equal_in_constant_time(bytes_.get(), other.bytes_.get(), size); }

 private:
  Secret() : bytes_(detail::allocate_locked(size)) {}
  detail::Locked bytes_;
};

/// Secret bytes of any length, wiped when they go; what key files hold.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(SecretBytes&&) noexcept = default;
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    wipe();
    bytes_ = std::move(other.bytes_);
    return *this;
  }
  ~SecretBytes() { wipe(); }
  ByteView reveal() const { return bytes_; }

 private:
  void wipe() {
    if (!bytes_.empty()) detail::wipe(bytes_.data(), bytes_.size());
  }
  Bytes bytes_;
};

}  // namespace dozo::crypto
