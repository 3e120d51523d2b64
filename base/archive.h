// Archive: the one binary encoding of Dozo, as two cereal archives that are safe against foreign bytes.
//
// Encoding: integers big-endian, fixed width; bool and enum one byte, strict; FixedBytes and Strong as their content; optional a
// bool and the value; variant a one-byte index and the value; strings, byte runs and vectors a u32 count and the content, always
// through `capped` or `counted`, which state the most that the field may hold. There is nothing else: no pointers, no polymorphism, no
// maps, no floats. One value has one encoding, and a decoder accepts only that: decode then encode gives the same bytes.
//
// A type takes part by one function beside it:
//     template <class A> void serialize(A& archive, Entry& it) { archive(it.kind, it.sequence, capped<255>(it.name), capped<256>(it.packs)); }
// and an enum by its largest value (values from 0, without gaps):   constexpr Kind wire_last(Kind) { return Kind::close; }
//
// Only `.cpp` files that encode or decode include this header (cereal is heavy); others see `Bytes encode(const T&)` and
// `Result<T> decode(ByteView)` declared beside the type.
// Threads: a value each; no state is shared.
#pragma once
#include <cereal/cereal.hpp>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"

namespace dozo::archive {

/// Thrown inside a Decoder by any breach of the format; decode() turns it into Fault::malformed or Fault::over_limit.
struct Refused {
  Fault fault;
  const char* why;
};

/// A field whose count must be between 0 and `most`: std::string, Bytes, or a vector of anything else that encodes.
template <std::size_t most, class Field>
struct Capped {
  Field& field;
};
template <std::size_t most, class Field>
Capped<most, Field> capped(Field& field) {
  return {field};
}

class Encoder : public cereal::OutputArchive<Encoder> {
 public:
  explicit Encoder(Bytes& to) : OutputArchive(this), to_(to) {}
  void raw(ByteView bytes) { append(to_, bytes); }
  template <class Number>
  void number(Number value) {
    std::array<std::uint8_t, sizeof(Number)> out{};
    for (std::size_t i = sizeof(Number); i-- > 0; value = static_cast<Number>(sizeof(Number) > 1 ? value >> 8 : 0))
      out[i] = static_cast<std::uint8_t>(value & 0xff);
    raw(out);
  }

 private:
  Bytes& to_;
};

class Decoder : public cereal::InputArchive<Decoder> {
 public:
  explicit Decoder(ByteView from) : InputArchive(this), from_(from) {}
  ByteView raw(std::size_t size) {
    if (size > from_.size()) throw Refused{Fault::malformed, "cut short"};
    const ByteView out = from_.first(size);
    from_ = from_.subspan(size);
    return out;
  }
  template <class Number>
  Number number() {
    Number value{};
    for (const std::uint8_t byte : raw(sizeof(Number))) value = static_cast<Number>((sizeof(Number) > 1 ? static_cast<std::uint64_t>(value) << 8 : 0) | byte);
    return value;
  }
  /// A count, refused before anything is allocated when it is over `most` or when the bytes left cannot hold that many.
  std::size_t count(std::size_t most, std::size_t element_bytes_min) {
    const auto value = static_cast<std::size_t>(number<std::uint32_t>());
    if (value > most) throw Refused{Fault::over_limit, "a count over its limit"};
    if (element_bytes_min > 0 && value > from_.size() / element_bytes_min) throw Refused{Fault::malformed, "a count that the bytes cannot hold"};
    return value;
  }
  std::size_t left() const { return from_.size(); }

 private:
  ByteView from_;
};

// ---- numbers, bool, enum ---------------------------------------------------------------------------------------------
template <class T>
concept WireNumber = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>;

template <WireNumber T>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const T& value) {
  to.number(static_cast<std::make_unsigned_t<T>>(value));
}
template <WireNumber T>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, T& value) {
  value = static_cast<T>(from.number<std::make_unsigned_t<T>>());
}
template <class T>
  requires std::is_same_v<T, bool>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const T& value) {
  to.number(static_cast<std::uint8_t>(value ? 1 : 0));
}
template <class T>
  requires std::is_same_v<T, bool>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, T& value) {
  const auto byte = from.number<std::uint8_t>();
  if (byte > 1) throw Refused{Fault::malformed, "a bool that is neither 0 nor 1"};
  value = byte == 1;
}
template <class T>
  requires std::is_enum_v<T>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const T& value) {
  static_assert(static_cast<std::uint64_t>(wire_last(T{})) <= 255);
  to.number(static_cast<std::uint8_t>(value));
}
template <class T>
  requires std::is_enum_v<T>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, T& value) {
  const auto byte = from.number<std::uint8_t>();
  if (byte > static_cast<std::uint8_t>(wire_last(T{}))) throw Refused{Fault::malformed, "a kind that does not exist"};
  value = static_cast<T>(byte);
}

}  // namespace dozo::archive

// cereal would write an enum as its underlying number, any value of it; ours are strict. The pair of archives belongs together.
namespace cereal {
template <class T>
  requires std::is_enum_v<T>
struct specialize<dozo::archive::Encoder, T, specialization::non_member_load_save> : std::true_type {};
template <class T>
  requires std::is_enum_v<T>
struct specialize<dozo::archive::Decoder, T, specialization::non_member_load_save> : std::true_type {};
}  // namespace cereal
CEREAL_SETUP_ARCHIVE_TRAITS(dozo::archive::Decoder, dozo::archive::Encoder)

namespace dozo::archive {

// ---- encode, decode --------------------------------------------------------------------------------------------------
template <class T>
Bytes encode(const T& value) {
  Bytes out;
  Encoder encoder(out);
  encoder(value);
  return out;
}

/// The fewest bytes that a T can take: what an empty one takes. For a variant the first alternative counts, so put the shortest
/// first, or the count check is stricter than the format.
template <class T>
std::size_t size_bytes_min() {
  static const std::size_t size = encode(T{}).size();
  return size;
}

/// The T that is exactly these bytes. `size_bytes_most` is checked before anything else. Faults: over_limit, malformed; `what` names the thing.
template <class T>
Result<T> decode(ByteView bytes, std::size_t size_bytes_most, std::string_view what) {
  if (bytes.size() > size_bytes_most) return fail(Fault::over_limit, std::string(what) + " of " + std::to_string(bytes.size()) + " bytes is over its limit");
  T value{};
  try {
    Decoder decoder(bytes);
    decoder(value);
    if (decoder.left() != 0) return fail(Fault::malformed, std::string(what) + ": bytes after its end");
  } catch (const Refused& refused) {
    return fail(refused.fault, std::string(what) + ": " + refused.why);
  }
  return value;
}

// ---- capped runs -----------------------------------------------------------------------------------------------------
template <std::size_t most, class Field>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const Capped<most, Field>& it) {
  static_assert(most <= std::numeric_limits<std::uint32_t>::max());
  using Plain = std::remove_const_t<Field>;
  to.number(static_cast<std::uint32_t>(it.field.size()));
  if constexpr (std::is_same_v<Plain, std::string>) {
    to.raw(view_of(it.field));
  } else if constexpr (std::is_same_v<Plain, Bytes>) {
    to.raw(it.field);
  } else {
    for (const auto& element : it.field) to(element);
  }
}
template <std::size_t most, class Field>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, Capped<most, Field>& it) {
  if constexpr (std::is_same_v<Field, std::string>) {
    it.field = std::string(text_of(from.raw(from.count(most, 1))));
  } else if constexpr (std::is_same_v<Field, Bytes>) {
    it.field = bytes_of(from.raw(from.count(most, 1)));
  } else {
    using Element = typename Field::value_type;
    const std::size_t count = from.count(most, size_bytes_min<Element>());
    it.field.clear();
    it.field.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      Element element{};
      from(element);
      it.field.push_back(std::move(element));
    }
  }
}

// ---- optional, variant -----------------------------------------------------------------------------------------------
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const std::optional<T>& it) {
  to(it.has_value());
  if (it) to(*it);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, std::optional<T>& it) {
  bool has = false;
  from(has);
  it.reset();
  if (has) from(it.emplace());
}
template <class... Ts>
void CEREAL_SAVE_FUNCTION_NAME(Encoder& to, const std::variant<Ts...>& it) {
  static_assert(sizeof...(Ts) <= 255);
  to.number(static_cast<std::uint8_t>(it.index()));
  std::visit([&](const auto& held) { to(held); }, it);
}
template <std::size_t i, class... Ts>
void load_alternative(Decoder& from, std::variant<Ts...>& it, std::size_t index) {
  if constexpr (i < sizeof...(Ts)) {
    if (index == i) return from(it.template emplace<i>()), void();
    load_alternative<i + 1>(from, it, index);
  } else {
    throw Refused{Fault::malformed, "a kind that does not exist"};
  }
}
template <class... Ts>
void CEREAL_LOAD_FUNCTION_NAME(Decoder& from, std::variant<Ts...>& it) {
  load_alternative<0>(from, it, from.number<std::uint8_t>());
}

}  // namespace dozo::archive

namespace dozo {
// Found by argument-dependent lookup: the ids that base itself defines.
template <std::size_t size, class Tag>
void CEREAL_SAVE_FUNCTION_NAME(archive::Encoder& to, const FixedBytes<size, Tag>& it) {
  to.raw(it.bytes);
}
template <std::size_t size, class Tag>
void CEREAL_LOAD_FUNCTION_NAME(archive::Decoder& from, FixedBytes<size, Tag>& it) {
  const ByteView bytes = from.raw(size);
  std::memcpy(it.bytes.data(), bytes.data(), size);
}
template <class A, class Rep, class Tag>
void serialize(A& archive, Strong<Rep, Tag>& it) {
  archive(it.value);
}
template <class A>
void serialize(A& archive, FeedId& it) {
  archive(it.library, it.node, it.incarnation);
}
}  // namespace dozo
