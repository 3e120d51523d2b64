#include "tools/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace dozo::tools {

struct FreeOfTar {
  void operator()(archive_entry* it) const noexcept { archive_entry_free(it); }
  void operator()(archive* it) const noexcept { archive_free(it); }
  void operator()(locale_t it) const noexcept { ::freelocale(it); }
};

namespace {

/// libarchive turns names from and to the charset of the thread's locale. This sets that, for as long as it is here.
class InLocale {
 public:
  explicit InLocale(locale_t locale) : before_(::uselocale(locale)) {}
  InLocale(const InLocale&) = delete;
  InLocale& operator=(const InLocale&) = delete;
  ~InLocale() { ::uselocale(before_); }

 private:
  locale_t before_;
};

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

constexpr std::size_t block_bytes = 10'240;  ///< the end of a written archive: what a tar of old counts in
constexpr std::size_t read_bytes = 1U << 18;
constexpr std::int64_t second_ns = 1'000'000'000;

/// A name that is not in the locale's charset is kept as its bytes, and said to be so. Any other warning is of something that was left out.
bool is_good(int status, archive* of) { return status == ARCHIVE_OK || (status == ARCHIVE_WARN && archive_errno(of) == EILSEQ); }

}  // namespace

// ---- writing ---------------------------------------------------------------------------------------------------------
struct TarWriter::Body {
  Give give;
  std::optional<Error> error;  ///< of `give`, which is not called again
  // In C.UTF-8 names that are UTF-8 stand in the archive as such; others as bytes, marked as bytes.
  std::unique_ptr<std::remove_pointer_t<locale_t>, FreeOfTar> locale{::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)};
  std::unique_ptr<archive_entry, FreeOfTar> entry{archive_entry_new()};
  std::unique_ptr<archive, FreeOfTar> out{archive_write_new()};

  /// libarchive is not told of a failure: it would then free its archive without what hangs on it.
  static la_ssize_t on_write(archive* /*out*/, void* body_pointer, const void* bytes, std::size_t size) {
    auto& body = *static_cast<Body*>(body_pointer);
    if (!body.error) {
      Result<void> given = body.give(ByteView(static_cast<const std::uint8_t*>(bytes), size));
      if (!given) body.error = std::move(given.error());
    }
    return static_cast<la_ssize_t>(size);
  }
  Result<void> result(int status) {
    if (error) return std::unexpected(*error);
    if (is_good(status, out.get())) return {};
    return fail(Fault::unsupported, "the archive cannot be written: " + text_or_empty(archive_error_string(out.get())));
  }
};

TarWriter::TarWriter(std::unique_ptr<Body> body) : body_(std::move(body)) {}
TarWriter::TarWriter(TarWriter&& other) noexcept = default;
TarWriter::~TarWriter() {
  if (body_) body_->error = Error{Fault::unavailable, "not finished"};  // libarchive gives it an end, which goes nowhere
}

Result<TarWriter> TarWriter::open(Give give) {
  auto body = std::make_unique<Body>();
  body->give = std::move(give);
  if (!body->locale) return fail(Fault::unsupported, "this system has no locale C.UTF-8");
  const InLocale here(body->locale.get());
  archive* const out = body->out.get();
  if (out == nullptr || !body->entry) return fail(Fault::unavailable, "no memory for an archive");
  archive_write_set_format_pax(out);
  archive_write_set_bytes_per_block(out, static_cast<int>(block_bytes) * 26);  // fewer, larger writes
  archive_write_set_bytes_in_last_block(out, static_cast<int>(block_bytes));
  TRY(body->result(archive_write_open(out, body.get(), nullptr, Body::on_write, nullptr)));
  return TarWriter(std::move(body));
}

Result<void> TarWriter::add(const TarItem& item) {
  const InLocale here(body_->locale.get());
  archive_entry* const entry = body_->entry.get();
  archive_entry_clear(entry);
  archive_entry_copy_pathname(entry, item.path.c_str());
  const bool is_file = item.kind == TarItem::Kind::file;
  archive_entry_set_filetype(entry, is_file ? AE_IFREG : item.kind == TarItem::Kind::symlink ? AE_IFLNK : AE_IFDIR);
  archive_entry_set_perm(entry, item.kind == TarItem::Kind::symlink ? 0777 : is_file && !item.executable ? 0644 : 0755);
  archive_entry_set_size(entry, is_file ? static_cast<la_int64_t>(item.size) : 0);
  if (item.kind == TarItem::Kind::symlink) archive_entry_copy_symlink(entry, item.link.c_str());
  // Before 1970 the format counts the fraction backwards too; libarchive writes the two numbers as they are, and has no -0.
  const std::int64_t seconds = item.modified_ns / second_ns;
  const bool is_last_before = seconds == 0 && item.modified_ns < 0;
  archive_entry_set_mtime(entry, seconds, is_last_before ? 0 : static_cast<long>(std::abs(item.modified_ns % second_ns)));
  return body_->result(archive_write_header(body_->out.get(), entry));
}

Result<void> TarWriter::write(ByteView bytes) {
  while (!bytes.empty()) {
    const la_ssize_t written = archive_write_data(body_->out.get(), bytes.data(), bytes.size());
    if (written <= 0) {
      TRY(body_->result(ARCHIVE_FATAL));
      return fail(Fault::malformed, "more bytes than the size that was named");
    }
    TRY(body_->result(ARCHIVE_OK));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> TarWriter::finish() {
  const InLocale here(body_->locale.get());
  return body_->result(archive_write_close(body_->out.get()));
}

// ---- reading ---------------------------------------------------------------------------------------------------------
struct TarReader::Body {
  Take take;
  std::optional<Error> error;  ///< of `take`
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(read_bytes);
  // In the C locale no name that is not ASCII can be converted, and libarchive leaves its bytes. In a UTF-8 locale it would compose what is decomposed.
  std::unique_ptr<std::remove_pointer_t<locale_t>, FreeOfTar> locale{::newlocale(LC_CTYPE_MASK, "C", nullptr)};
  std::unique_ptr<archive, FreeOfTar> in{archive_read_new()};
  TarItem item;
  std::uint64_t end = 0;  ///< of the part before

  static la_ssize_t on_read(archive* in, void* body_pointer, const void** bytes) {
    auto& body = *static_cast<Body*>(body_pointer);
    Result<std::size_t> taken = body.take(body.buffer);
    *bytes = body.buffer.data();
    if (taken) return static_cast<la_ssize_t>(*taken);
    archive_set_error(in, EIO, "%s", "not read");
    body.error = std::move(taken.error());
    return -1;
  }
  Result<void> result(int status) {
    if (error) return std::unexpected(*error);
    if (is_good(status, in.get())) return {};
    return fail(Fault::malformed, "no whole tar archive: " + text_or_empty(archive_error_string(in.get())));
  }
};

TarReader::TarReader(std::unique_ptr<Body> body) : body_(std::move(body)) {}
TarReader::TarReader(TarReader&& other) noexcept = default;
TarReader::~TarReader() = default;

Result<TarReader> TarReader::open(Take take) {
  auto body = std::make_unique<Body>();
  body->take = std::move(take);
  archive* const in = body->in.get();
  if (in == nullptr || !body->locale) return fail(Fault::unavailable, "no memory for an archive");
  const InLocale here(body->locale.get());
  // A warning would say that libarchive itself lacks it, and would call another program.
  for (const auto support : {archive_read_support_filter_gzip, archive_read_support_filter_zstd, archive_read_support_filter_xz,
                             archive_read_support_filter_bzip2, archive_read_support_format_tar}) {
    if (support(in) != ARCHIVE_OK) return fail(Fault::unsupported, "this libarchive was built without what reads an archive");
  }
  // On to the very end: else what comes after the first end mark, such as the sum of what was compressed, would not be looked at.
  TRY(body->result(archive_read_set_options(in, "tar:read_concatenated_archives")));
  TRY(body->result(archive_read_open(in, body.get(), nullptr, Body::on_read, nullptr)));
  return TarReader(std::move(body));
}

Result<std::optional<TarItem>> TarReader::next() {
  const InLocale here(body_->locale.get());
  archive* const in = body_->in.get();
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(in, &entry);
  if (status == ARCHIVE_EOF && !body_->error) {
    // libarchive takes an archive that was cut off between two items for whole. Beyond the last item the end mark was read, or nothing.
    if (archive_filter_bytes(in, 0) - archive_read_header_position(in) >= 512) return std::nullopt;
    return fail(Fault::malformed, "no whole tar archive: its end mark is missing");
  }
  TRY(body_->result(status));
  TarItem out;
  out.path = text_or_empty(archive_entry_pathname(entry));
  const la_int64_t size = archive_entry_size(entry);
  if (size < 0) return fail(Fault::malformed, "no whole tar archive: a size below zero");
  const auto type = archive_entry_filetype(entry);
  using Kind = TarItem::Kind;
  // A hard link that has bytes of its own is as good as a file.
  const char* const hard_link = archive_entry_hardlink(entry);
  if (hard_link != nullptr && size == 0) {
    out.kind = Kind::hard_link;
    out.link = hard_link;
  } else {
    out.kind = type == AE_IFREG ? Kind::file : type == AE_IFLNK ? Kind::symlink : type == AE_IFDIR ? Kind::folder : Kind::other;
    if (out.kind == Kind::symlink) out.link = text_or_empty(archive_entry_symlink(entry));
    if (out.kind == Kind::file) out.size = static_cast<std::uint64_t>(size);
  }
  out.executable = (archive_entry_perm(entry) & 0100) != 0;
  // What no clock of this system shows is as near as can be. Of the fraction before 1970: see TarWriter::add.
  constexpr std::int64_t most_s = std::numeric_limits<std::int64_t>::max() / second_ns - 1;
  const std::int64_t seconds = archive_entry_mtime(entry);
  const std::int64_t rest_ns = archive_entry_mtime_nsec(entry);
  if (seconds > most_s || seconds < -most_s)
    out.modified_ns = (seconds < 0 ? -most_s : most_s) * second_ns;
  else
    out.modified_ns = seconds * second_ns + (seconds < 0 ? -rest_ns : rest_ns);
  body_->item = out;
  body_->end = 0;
  return out;
}

Result<std::optional<TarReader::Part>> TarReader::read() {
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int status = archive_read_data_block(body_->in.get(), &bytes, &size, &offset);
  if (status == ARCHIVE_EOF && !body_->error) return std::nullopt;
  TRY(body_->result(status));
  const auto begin = static_cast<std::uint64_t>(offset);
  if (offset < 0 || begin < body_->end || begin > body_->item.size || size > body_->item.size - begin)
    return fail(Fault::malformed, "no whole tar archive: a file is not of the size that is named");
  body_->end = begin + size;
  return Part{begin, ByteView(static_cast<const std::uint8_t*>(bytes), size)};
}

}  // namespace dozo::tools
