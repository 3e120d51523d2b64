// Result<T>: the one way in which a function says that something outside our control went wrong.
//
// It is std::expected<T, Error> made nodiscard (an alias of it would not be). Few *kinds* (Fault) that callers branch on, free
// *text* that people read: lower case, names the thing, says what to do where that is known, never holds a secret, a title or a
// person's name. Our own bugs are not Results: see invariant.h. Expected absence is std::optional.
// Threads: plain values.
#pragma once
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace dozo {

enum class Fault {
  not_found,      ///< the thing asked for is not here
  exists,         ///< the thing to be made is here already
  malformed,      ///< bytes or text that break their format
  not_authentic,  ///< a signature, tag, hash or key that does not fit
  denied,         ///< policy or a limit of rights forbids it
  stale,          ///< older than what is held, or expired
  corrupt,        ///< our own stored data is damaged
  over_limit,     ///< larger or more than a stated bound
  unavailable,    ///< not now: disk full, peer away, port taken, being stopped
  unsupported,    ///< a newer format, or a kind that this build does not know
};

struct Error {
  Fault fault{};
  std::string text;
  /// The same error with what was being done put before it: "open realm.json: not a JSON object".
  Error within(std::string_view doing) && {
    text.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }
};

template <class T>
struct [[nodiscard]] Result : std::expected<T, Error> {
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Fault fault, std::string text) { return std::unexpected(Error{fault, std::move(text)}); }

/// Adds context to the error of `result`, if it has one.
template <class T>
Result<T> within(std::string_view doing, Result<T> result) {
  if (!result) return std::unexpected(std::move(result.error()).within(doing));
  return result;
}

std::string_view name_of(Fault fault);

}  // namespace dozo

/// The value of a Result, or return its error from the enclosing function. The only macro that changes control flow
/// (a statement expression: GCC and Clang).
#define TRY(expression) DOZO_TRY_COUNTED(expression, __COUNTER__)
#define DOZO_TRY_COUNTED(expression, number) DOZO_TRY_NUMBERED(expression, number)  // so that the counter is expanded before ##
#define DOZO_TRY_NUMBERED(expression, number) DOZO_TRY_NAMED(expression, try_result_##number)
#define DOZO_TRY_NAMED(expression, name)                        \
  ({                                                            \
    auto name = (expression);                                   \
    if (!name) return std::unexpected(std::move(name).error()); \
    *std::move(name);                                           \
  })
