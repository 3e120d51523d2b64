#include "store/manifest.h"

#include <algorithm>

#include "base/archive.h"
#include "base/invariant.h"
#include "crypto/hash.h"

namespace dozo::store {

template <class A>
void serialize(A& archive, PieceRef& it) {
  archive(it.id, it.size);
}

namespace {

struct Form {
  std::uint8_t format = manifest_format;
  Manifest manifest;
};
template <class A>
void serialize(A& archive, Form& it) {
  Manifest& m = it.manifest;
  archive(it.format, m.traits.kind, m.traits.mode, m.traits.mtime_ns, archive::capped<media_type_bytes_most>(m.traits.media_type), m.size, m.sha256,
          m.list.level, archive::capped<root_entries_most>(m.list.entries));
}

}  // namespace

Result<void> well_formed(const ContentTraits& traits) {
  if ((traits.mode & ~mode_bits) != 0) return fail(Fault::malformed, "a mode beyond permissions");
  if (traits.kind != ContentKind::file && traits.mode != 0) return fail(Fault::malformed, "a mode on what is not a file");
  const bool printable = std::ranges::all_of(traits.media_type, [](char c) { return c > ' ' && c <= '~'; });
  if (traits.media_type.size() > media_type_bytes_most || !printable) return fail(Fault::malformed, "a media type that is none");
  if (traits.kind != ContentKind::file && !traits.media_type.empty()) return fail(Fault::malformed, "a media type on what is not a file");
  return {};
}

Result<void> well_formed(const Manifest& manifest) {
  TRY(well_formed(manifest.traits));
  const ListRoot& list = manifest.list;
  if (list.entries.size() > root_entries_most) return fail(Fault::malformed, "a manifest with too long a list");
  TRY(check_entries(list.entries, list.level, manifest.size));
  if (list.entries.empty() && list.level != 0) return fail(Fault::malformed, "a list of nothing with levels");
  switch (manifest.traits.kind) {
    case ContentKind::dir:
      if (manifest.size != 0 || !manifest.sha256.is_zero()) return fail(Fault::malformed, "a directory with content");
      return {};
    case ContentKind::symlink:
      if (manifest.size == 0 || manifest.size > symlink_bytes_most) return fail(Fault::malformed, "a symlink's target of a length that none has");
      break;
    case ContentKind::file: break;
  }
  if (manifest.size == 0 && manifest.sha256 != crypto::sha256(ByteView{})) return fail(Fault::malformed, "an empty content with another hash");
  return {};
}

Bytes encode(const Manifest& manifest) {
  INVARIANT(well_formed(manifest).has_value());
  return archive::encode(Form{manifest_format, manifest});
}

Result<Manifest> decode_manifest(ByteView bytes) {
  if (!bytes.empty() && bytes[0] != manifest_format) return fail(Fault::unsupported, "a manifest of format " + std::to_string(bytes[0]));
  Form form = TRY(archive::decode<Form>(bytes, piece_bytes_most(PieceType::manifest), "a manifest"));
  TRY(well_formed(form.manifest));
  return std::move(form.manifest);
}

}  // namespace dozo::store
