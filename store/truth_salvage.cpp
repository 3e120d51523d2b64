#include "store/truth_salvage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "crypto/hash.h"
#include "crypto/pack_seal.h"
#include "store/truth_rows.h"

namespace dozo::store {
namespace {

constexpr std::size_t window_bytes = 4U << 20;
constexpr std::size_t page_bytes = 4096;           // what is passed over where the disk does not give it
constexpr std::size_t row_bytes_most = 64U << 20;  // no row is larger; what says so is no row

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
      const std::size_t passed = std::min(most - got, page_bytes - static_cast<std::size_t>((offset + got) % page_bytes));
      std::memset(to.data() + got, 0, passed);
      got += passed;
      unreadable_bytes += passed;
    }
    to.resize(got);
  }

  std::uint64_t unreadable_bytes = 0;

 private:
  int file_;
};

class Search {
 public:
  Search(RuinedFile& file, SalvageSink& sink) : file_(file), sink_(sink), size_(file.size()) {}

  Result<SalvageReport> run(const SalvageProgress& progress) {
    // A magic that is cut by the end of a window is whole in the next, which begins before it.
    constexpr std::size_t again = rows::magic.size() - 1;
    while (begin_ < size_) {
      file_.read(begin_, window_bytes, window_);
      if (window_.empty()) break;
      if (progress) progress(begin_, size_);
      TRY(look());
      if (window_.size() < window_bytes) break;
      begin_ = std::max(begin_ + window_.size() - again, next_);
    }
    return SalvageReport{size_, file_.unreadable_bytes};
  }

 private:
  /// Everything that begins in the window. What is found whole is passed over, so that nothing is found inside it.
  Result<void> look() {
    std::size_t at = next_ > begin_ ? static_cast<std::size_t>(next_ - begin_) : 0;
    while (at < window_.size()) {
      const std::size_t row = find(rows::magic, at), pack = find(view_of(crypto::pack_magic), at);
      const std::size_t first = std::min(row, pack);
      if (first == window_.size()) return {};
      const std::size_t size = TRY(first == row ? take_row(begin_ + first) : take_pack(begin_ + first));
      next_ = begin_ + first + std::max<std::size_t>(size, 1);
      at = first + std::max<std::size_t>(size, 1);
    }
    return {};
  }
  std::size_t find(ByteView magic, std::size_t from) const {
    const void* found = ::memmem(window_.data() + from, window_.size() - from, magic.data(), magic.size());
    return found == nullptr ? window_.size() : static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - window_.data());
  }
  /// Of the file, wherever the window ends; shorter where the file does.
  ByteView bytes_at(std::uint64_t offset, std::size_t size) {
    const auto from = static_cast<std::size_t>(offset - begin_);
    if (from + size <= window_.size()) return ByteView(window_).subspan(from, size);
    file_.read(offset, size, beyond_);
    return beyond_;
  }

  /// How many bytes were taken; 0: there is nothing.
  Result<std::size_t> take_row(std::uint64_t offset) {
    const auto size = rows::frame_bytes(bytes_at(offset, rows::frame_head_bytes));
    if (!size || *size > row_bytes_most) return std::size_t{0};
    const auto found = rows::frame_at(bytes_at(offset, *size));
    if (!found) return std::size_t{0};
    TRY(tell(*found));
    return found->size;
  }
  Result<void> tell(const rows::Found& row) {
    const ByteView key = row.key;
    switch (static_cast<rows::Name>(row.table.number)) {
      case rows::Name::documents: {
        const auto its_key = rows::read_document_key(key);
        return its_key ? sink_.document(*its_key, row.value) : Result<void>();
      }
      case rows::Name::entries: {
        if (key.size() != rows::branch_key_bytes + 8) return {};
        return sink_.entry(rows::read_branch_key(key), Sequence{get_u64(key.data() + rows::branch_key_bytes)}, row.value);
      }
      case rows::Name::heads: {
        const auto head = rows::read_head_value(row.value);
        return head && key.size() == rows::branch_key_bytes ? sink_.head(rows::read_branch_key(key), *head) : Result<void>();
      }
      case rows::Name::lists: {
        const auto sha256 = Digest::from(key);
        return sha256 && crypto::sha256(row.value) == *sha256 ? sink_.pack_list(*sha256, row.value) : Result<void>();
      }
      case rows::Name::statements: {
        const auto its_key = rows::read_statement_key(key);
        const auto statement = rows::read_statement_value(row.value);
        return its_key && statement ? sink_.statement(*its_key, *statement) : Result<void>();
      }
      default: return {};  // made anew from these: counts, hashes of feeds, the state of the policy
    }
  }
  Result<std::size_t> take_pack(std::uint64_t offset) {
    const auto size = crypto::sealed_bytes_at(bytes_at(offset, crypto::pack_header_bytes));
    if (!size) return std::size_t{0};
    const ByteView sealed = bytes_at(offset, *size);
    if (sealed.size() != *size || !crypto::check_sealed(sealed)) return std::size_t{0};
    // Where it was overwritten in part something else may begin inside it: only a pack that somebody knows is passed over.
    return TRY(sink_.pack(crypto::address_of(sealed), sealed)) ? *size : std::size_t{0};
  }

  RuinedFile& file_;
  SalvageSink& sink_;
  const std::uint64_t size_;
  std::uint64_t begin_ = 0, next_ = 0;
  Bytes window_, beyond_;
};

}  // namespace

Result<SalvageReport> salvage(const std::filesystem::path& file, SalvageSink& sink, const SalvageProgress& progress) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const Fault fault = errno == ENOENT ? Fault::not_found : errno == EACCES || errno == EPERM ? Fault::denied : Fault::unavailable;
    return fail(fault, file.string() + ": " + std::strerror(errno));
  }
  RuinedFile ruined(descriptor);
  return Search(ruined, sink).run(progress);
}

}  // namespace dozo::store
