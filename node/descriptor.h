// Descriptor: an open file or folder, closed when this ends. Threads: one owner.
#pragma once
#include <unistd.h>

#include <utility>

namespace dozo::node {

class Descriptor {
 public:
  /// Negative: nothing, or AT_FDCWD.
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) take(other.release());
    return *this;
  }
  ~Descriptor() { take(-1); }
  int get() const { return fd_; }
  /// Closes what it had.
  void take(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  /// Its caller closes it.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace dozo::node
