// Epoch: a library's keys from generation to generation: the public commitment to each, and how each is carried.
// Threads: pure functions.
#pragma once
#include "crypto/identity.h"
#include "crypto/pack_seal.h"

namespace dozo::crypto {

/// Says which key it is and nothing about it: everybody who opens a grant proves to have the same key.
Digest commitment_of(const EpochKey& key, const LibraryId& library, Epoch epoch);

/// The key in a sealed box. Fault of sealing: not_authentic (seal_to's); of opening: not_authentic, also where the commitment does not fit.
Result<Bytes> seal_epoch_key(const EpochKey& key, const SealPublicKey& to);
Result<EpochKey> open_epoch_key(const SealKey& with, ByteView sealed, const LibraryId& library, Epoch epoch, const Digest& commitment);

/// The key of `epoch` - 1 under that of `epoch` (2 or more, else our own bug), so that whoever has a key has all before it. Fault of opening: not_authentic.
Bytes wrap_predecessor(const EpochKey& successor, const EpochKey& predecessor, const LibraryId& library, Epoch epoch);
Result<EpochKey> unwrap_predecessor(const EpochKey& successor, ByteView wrapped, const LibraryId& library, Epoch epoch, const Digest& predecessor_commitment);

}  // namespace dozo::crypto
