#include "store/piece.h"

#include "crypto/hash.h"

namespace dozo::store {

PieceId piece_id(PieceType type, ByteView bytes) {
  const auto type_byte = static_cast<std::uint8_t>(type);
  return {crypto::sha256({view_of("dozo piece 1"), ByteView(&type_byte, 1), bytes}).bytes};
}

}  // namespace dozo::store
