#include "store/truth_salvage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "store/truth_rows.h"

namespace dozo::store {
namespace {

constexpr std::size_t window_bytes = 4U << 20;
constexpr std::size_t page_bytes = 4096;           // of LMDB here; and what is passed over where the disk does not give it
constexpr std::size_t page_head_bytes = 16;        // before a value that has pages of its own
constexpr std::size_t inline_bytes_most = 2040;    // a larger value has pages of its own
constexpr std::size_t row_bytes_most = 16U << 20;  // a list of packs is the largest; what says that it is larger is no row
constexpr std::size_t small_bytes_most = 64U << 10;
constexpr std::uint64_t vain_bytes_most = 1U << 30;

/// Where a value of this size can begin.
bool may_begin(std::uint64_t offset, std::size_t size) { return size <= inline_bytes_most || offset % page_bytes == page_head_bytes; }

class RuinedFile {
 public:
  explicit RuinedFile(int file) : file_(file) {}
  RuinedFile(const RuinedFile&) = delete;
  RuinedFile& operator=(const RuinedFile&) = delete;
  ~RuinedFile() { ::close(file_); }

  std::uint64_t size() const {
    struct stat it{};
    return ::fstat(file_, &it) == 0 ? static_cast<std::uint64_t>(it.st_size) : 0;
  }
  /// As many bytes from there on as there are, up to `most`; zeros where the disk gives none.
  void read(std::uint64_t offset, std::size_t most, Bytes& to) {
    to.resize(most);
    std::size_t got = 0;
    while (got < most) {
      const ssize_t count = ::pread(file_, to.data() + got, most - got, static_cast<off_t>(offset + got));
      if (count < 0 && errno == EINTR) continue;
      if (count == 0) break;
      if (count > 0) {
        got += static_cast<std::size_t>(count);
        continue;
      }
      const std::uint64_t page = (offset + got) / page_bytes;
      const std::size_t passed = std::min(most - got, static_cast<std::size_t>((page + 1) * page_bytes - offset - got));
      std::memset(to.data() + got, 0, passed);
      got += passed;
      unreadable_.insert(page);
    }
    to.resize(got);
  }
  std::uint64_t unreadable_bytes() const { return unreadable_.size() * page_bytes; }

 private:
  int file_;
  std::set<std::uint64_t> unreadable_;  ///< pages
};

/// One kind of magic at a time: rows, then packs.
class Search {
 public:
  Search(RuinedFile& file, ByteView magic, std::function<Result<std::size_t>(Search&, std::uint64_t offset)> take)
      : file_(file), magic_(magic), take_(std::move(take)), size_(file.size()) {}

  Result<void> run(const SalvageProgress& progress) {
    // A magic that is cut by the end of a window is whole in the next, which begins before it.
    const std::size_t again = magic_.size() - 1;
    while (begin_ < size_) {
      file_.read(begin_, window_bytes, window_);
      if (progress) progress(begin_, size_);
      TRY(look());
      if (window_.size() < window_bytes) break;
      begin_ = std::max(begin_ + window_.size() - again, next_);
    }
    return {};
  }
  /// Of the file, wherever the window ends; shorter where the file does.
  ByteView bytes_at(std::uint64_t offset, std::size_t size) {
    const auto from = static_cast<std::size_t>(offset - begin_);
    if (from + size <= window_.size()) return ByteView(window_).subspan(from, size);
    file_.read(offset, size, beyond_);
    return beyond_;
  }
  /// Whether so much may be hashed that is perhaps nothing: bytes that somebody chose could have much of that done.
  bool may_try(std::size_t size) const { return size <= small_bytes_most || vain_bytes_ <= std::max(vain_bytes_most, size_); }
  void in_vain(std::size_t size) { vain_bytes_ += size; }

 private:
  Result<void> look() {
    std::size_t at = next_ > begin_ ? static_cast<std::size_t>(next_ - begin_) : 0;
    while (at < window_.size()) {
      const void* found = ::memmem(window_.data() + at, window_.size() - at, magic_.data(), magic_.size());
      if (found == nullptr) return {};
      const auto first = static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - window_.data());
      // What was taken is passed over: nothing is looked for inside it.
      at = first + std::max<std::size_t>(TRY(take_(*this, begin_ + first)), 1);
      next_ = begin_ + at;
    }
    return {};
  }

  RuinedFile& file_;
  ByteView magic_;
  std::function<Result<std::size_t>(Search&, std::uint64_t offset)> take_;
  const std::uint64_t size_;
  std::uint64_t begin_ = 0, next_ = 0, vain_bytes_ = 0;
  Bytes window_, beyond_;
};

}  // namespace

Result<std::uint64_t> salvage(const std::filesystem::path& file, const SalvageSink& sink, const SalvageProgress& progress) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const Fault fault = errno == ENOENT ? Fault::not_found : errno == EACCES || errno == EPERM ? Fault::denied : Fault::unavailable;
    return fail(fault, file.string() + ": " + std::strerror(errno));
  }
  RuinedFile ruined(descriptor);
  if (sink.row) {
    Search rows(ruined, rows::magic, [&](Search& in, std::uint64_t offset) -> Result<std::size_t> {
      const auto size = rows::frame_bytes(in.bytes_at(offset, rows::frame_head_bytes));
      if (!size || *size > row_bytes_most || !may_begin(offset, *size) || !in.may_try(*size)) return std::size_t{0};
      const auto found = rows::frame_at(in.bytes_at(offset, *size));
      if (!found) in.in_vain(*size);
      if (!found || found->table == rows::table(rows::Name::root)) return std::size_t{0};
      TRY(sink.row(static_cast<TruthTable>(found->table.number), found->key, found->value));
      return found->size;
    });
    TRY(rows.run(progress));
  }
  if (sink.pack) {
    Search packs(ruined, view_of(crypto::pack_magic), [&](Search& in, std::uint64_t offset) -> Result<std::size_t> {
      const auto size = crypto::sealed_bytes_at(in.bytes_at(offset, crypto::pack_header_bytes));
      if (!size || !may_begin(offset, *size) || !in.may_try(*size)) return std::size_t{0};
      const ByteView sealed = in.bytes_at(offset, *size);
      const bool known = sealed.size() == *size && crypto::check_sealed(sealed) && TRY(sink.pack(crypto::address_of(sealed), sealed));
      if (!known) in.in_vain(*size);
      return known ? *size : std::size_t{0};
    });
    TRY(packs.run(progress));
  }
  return ruined.unreadable_bytes();
}

}  // namespace dozo::store
