// Tar: archives that other programs read and have written, as items and bytes. The only place that knows libarchive.
//
// Written is the POSIX format (pax): times to the nanosecond, sizes and names without bounds. Read is every tar that is about, also compressed (gzip, zstd, xz,
// bzip2), but nothing by another program. Names and targets of links are bytes and stay as they are, in any locale.
// Not here: whether a name may be believed, and where things are put (unpack.h).
// Threads: each object has one owner.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace dozo::tools {

struct TarItem {
  enum class Kind : std::uint8_t {
    file,
    symlink,
    folder,
    hard_link,  ///< read, never written: once more what an earlier item of the archive, `link`, is
    other,      ///< read, never written: a device and its like
  };
  Kind kind{};
  std::string path;
  std::string link;      ///< of a symlink or hard link
  std::uint64_t size{};  ///< of a file
  bool executable{};
  std::int64_t modified_ns{};  ///< since 1970
};

/// Writes an archive, as it comes.
class TarWriter {
 public:
  using Give = std::function<Result<void>(ByteView bytes)>;
  /// Fault: unsupported (the system lacks what libarchive needs).
  static Result<TarWriter> open(Give give);
  TarWriter(TarWriter&& other) noexcept;
  TarWriter& operator=(TarWriter&&) = delete;
  ~TarWriter();  ///< of an archive that was not finished: leaves it without its end, so that nobody takes it for whole

  /// The item before must have all its bytes. Faults: those of `give`, unsupported (a name that libarchive does not take).
  Result<void> add(const TarItem& item);
  /// The next bytes of the file that was added last.
  Result<void> write(ByteView bytes);
  Result<void> finish();

 private:
  struct Body;
  explicit TarWriter(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

/// Reads an archive that nobody vouches for, from front to back.
class TarReader {
 public:
  /// The next bytes, as many as fit or fewer; 0: the end.
  using Take = std::function<Result<std::size_t>(ByteSpan to)>;
  /// Faults: malformed (it is no tar archive), those of `take`.
  static Result<TarReader> open(Take take);
  TarReader(TarReader&& other) noexcept;
  TarReader& operator=(TarReader&&) = delete;
  ~TarReader();

  /// The next item; what of the one before was not read is passed over. Nothing: the archive has ended, whole, with its end mark; in what was compressed
  /// everything up to the end has been read. Faults: malformed (it is damaged or cut off), those of `take`.
  Result<std::optional<TarItem>> next();

  struct Part {
    std::uint64_t offset{};  ///< beyond the part before: between them are zeros
    ByteView bytes;          ///< until the next call
  };
  /// The next bytes of the file that `next` gave. Nothing: no more; what is missing of its size are zeros. Faults: those of `next`.
  Result<std::optional<Part>> read();

 private:
  struct Body;
  explicit TarReader(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::tools
