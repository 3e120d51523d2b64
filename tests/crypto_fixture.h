// What the tests of crypto share.
#pragma once
#include <string_view>

#include "base/bytes.h"
#include "crypto/start.h"

namespace dozo::crypto_fixture {

inline const bool started = crypto::start().has_value();  // before any test draws a key
inline Bytes hex(std::string_view text) { return from_hex(text).value(); }

}  // namespace dozo::crypto_fixture
