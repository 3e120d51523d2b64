#include "node/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "crypto/random.h"
#include "node/descriptor.h"

namespace dozo::node {

namespace fs = std::filesystem;

namespace {

std::unexpected<Error> failed(std::string_view doing, const fs::path& path, int error) {
  Fault fault = Fault::unavailable;
  if (error == ENOENT || error == ENOTDIR) fault = Fault::not_found;
  if (error == EEXIST) fault = Fault::exists;
  if (error == EACCES || error == EPERM || error == EROFS || error == ELOOP) fault = Fault::denied;
  const std::string why = error == ENOENT ? "there is no such file or folder" : error == EEXIST ? "it is there already" : std::string(std::strerror(error));
  return fail(fault, std::string(doing) + " " + path.string() + ": " + why);
}

/// Opens for reading and says how long it is.
Result<int> open_checked(const fs::path& path, std::size_t bytes_most, Secrecy secrecy, std::size_t& size) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return failed("read", path, errno);
  struct stat it{};
  if (::fstat(file.get(), &it) != 0) return failed("read", path, errno);
  if (!S_ISREG(it.st_mode)) return fail(Fault::denied, path.string() + " is not a regular file");
  if (secrecy == Secrecy::secret) {
    if (it.st_uid != ::geteuid() && it.st_uid != 0) return fail(Fault::denied, path.string() + " belongs to another user");
    // A credential that systemd hands to a service belongs to root, with an access list for the service's user, which shows as the group's right to read.
    const mode_t others = it.st_uid == 0 && it.st_gid == 0 && ::geteuid() != 0 ? 037 : 077;
    if ((it.st_mode & others) != 0) return fail(Fault::denied, path.string() + " may be read by others: chmod 600 it, and ask whether it is still a secret");
  }
  if (static_cast<std::uint64_t>(it.st_size) > bytes_most) return fail(Fault::over_limit, path.string() + " is longer than " + std::to_string(bytes_most));
  size = static_cast<std::size_t>(it.st_size);
  return file.release();
}

Result<void> read_all(int fd, const fs::path& path, ByteSpan to) {
  while (!to.empty()) {
    const ssize_t got = ::read(fd, to.data(), to.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path, errno);
    if (got == 0) return fail(Fault::unavailable, path.string() + " changed while it was read");
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace

Result<Bytes> read_file(const fs::path& path, std::size_t bytes_most, Secrecy secrecy) {
  std::size_t size = 0;
  const Descriptor file(TRY(open_checked(path, bytes_most, secrecy, size)));
  Bytes out(size);
  TRY(read_all(file.get(), path, out));
  return out;
}

Result<crypto::SecretBytes> read_secret_file(const fs::path& path, std::size_t bytes_most) {
  std::size_t size = 0;
  const Descriptor file(TRY(open_checked(path, bytes_most, Secrecy::secret, size)));
  Bytes out(size);
  const Result<void> done = read_all(file.get(), path, out);
  crypto::SecretBytes secret(std::move(out));  // wipes what was read, whatever came of it
  if (!done) return std::unexpected(done.error());
  return secret;
}

Result<void> write_file(const fs::path& path, ByteView bytes, Secrecy secrecy, Existing existing) {
  std::array<std::uint8_t, 8> dice{};
  crypto::random_bytes(dice);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path temporary = folder / (".new-" + to_hex(dice));
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, secrecy == Secrecy::secret ? 0600 : 0644));
  if (file.get() < 0) return failed("write", path, errno);
  int error = 0;
  for (ByteView left = bytes; error == 0 && !left.empty();) {
    const ssize_t written = ::write(file.get(), left.data(), left.size());
    if (written > 0) left = left.subspan(static_cast<std::size_t>(written));
    if (written < 0 && errno != EINTR) error = errno;
  }
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (::close(file.release()) != 0 && error == 0) error = errno;
  if (error == 0) {
    const int moved = existing == Existing::replace ? ::rename(temporary.c_str(), path.c_str())
                                                    : ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
    if (moved != 0) error = errno;
  }
  if (error != 0) {
    ::unlink(temporary.c_str());
    return failed("write", path, error);
  }
  return sync_folder(folder);
}

Result<void> make_private_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
  if (errno != EEXIST) return failed("make folder", path, errno);
  struct stat it{};
  if (::lstat(path.c_str(), &it) != 0) return failed("make folder", path, errno);
  std::error_code code;
  if (!S_ISDIR(it.st_mode) || !fs::is_empty(path, code) || code) return fail(Fault::exists, path.string() + " is there already, and is not an empty folder");
  if (it.st_uid != ::geteuid()) return fail(Fault::denied, path.string() + " belongs to another user");
  if (::chmod(path.c_str(), 0700) != 0) return failed("close to others", path, errno);
  return {};
}

Result<void> want_private_folder(const fs::path& path) {
  struct stat it{};
  if (::stat(path.c_str(), &it) != 0) return failed("open", path, errno);
  if (!S_ISDIR(it.st_mode)) return fail(Fault::denied, path.string() + " is not a folder");
  if (it.st_uid != ::geteuid()) return fail(Fault::denied, path.string() + " belongs to another user");
  if ((it.st_mode & 077) != 0) return fail(Fault::denied, path.string() + " is open to others: chmod 700 it");
  return {};
}

Result<void> sync_folder(const fs::path& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return failed("open", path, errno);
  if (::fsync(folder.get()) != 0) return failed("sync", path, errno);
  return {};
}

}  // namespace dozo::node
