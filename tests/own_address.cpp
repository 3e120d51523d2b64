// Own address: a library that is loaded before a daemon (LD_PRELOAD), so that it calls others from the address of the loopback that DOZO_OWN_ADDRESS names.
// For lines.py, which tells the nodes of one machine apart by that.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>

namespace {

using Connect = int (*)(int, const sockaddr*, socklen_t);

}  // namespace

extern "C" int connect(int socket, const sockaddr* to, socklen_t size) {
  const char* own = std::getenv("DOZO_OWN_ADDRESS");
  sockaddr_in from{};
  sockaddr_in6 mapped{};  // ZeroMQ calls IPv4 so, where it may call IPv6
  from.sin_family = AF_INET;
  mapped.sin6_family = AF_INET6;
  const bool is_ip = to->sa_family == AF_INET || to->sa_family == AF_INET6;
  if (own != nullptr && is_ip && ::inet_pton(AF_INET, own, &from.sin_addr) == 1 &&
      ::inet_pton(AF_INET6, (std::string("::ffff:") + own).c_str(), &mapped.sin6_addr) == 1) {
    // Where it does not work the call comes from somebody else, as the test will say.
    [[maybe_unused]] const int bound = to->sa_family == AF_INET ? ::bind(socket, reinterpret_cast<const sockaddr*>(&from), sizeof from)
                                                                : ::bind(socket, reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped);
  }
  static const auto next = reinterpret_cast<Connect>(dlsym(RTLD_NEXT, "connect"));  // NOLINT
  return next(socket, to, size);
}
