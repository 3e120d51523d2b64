// Descriptor: an open file or folder, closed when this ends. Threads: one owner.
#pragma once
#include <unistd.h>

namespace dozo::tools {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { take(-1); }
  int get() const { return fd_; }
  /// Closes what it had.
  void take(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

}  // namespace dozo::tools
