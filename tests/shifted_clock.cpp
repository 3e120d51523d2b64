// Shifted clock: a library that is loaded before a program (LD_PRELOAD) and makes its clock wrong by DOZO_CLOCK_SHIFT_S seconds. For clock_test.py.
//
// Only the time of day: CLOCK_MONOTONIC and the times of files stay what they are, as with a machine whose clock was set wrongly.
#include <dlfcn.h>
#include <sys/time.h>

#include <cstdlib>
#include <ctime>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));  // NOLINT
}
time_t shift_s() {
  static const time_t out = [] {
    const char* text = std::getenv("DOZO_CLOCK_SHIFT_S");
    return text == nullptr ? 0 : static_cast<time_t>(std::strtoll(text, nullptr, 10));
  }();
  return out;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const int status = next<int (*)(clockid_t, timespec*)>("clock_gettime")(clock, out);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += shift_s();
  return status;
}
int gettimeofday(timeval* out, void* zone) noexcept {
  const int status = next<int (*)(timeval*, void*)>("gettimeofday")(out, zone);
  if (status == 0) out->tv_sec += shift_s();
  return status;
}
time_t time(time_t* out) noexcept {
  const time_t now = next<time_t (*)(time_t*)>("time")(nullptr) + shift_s();
  if (out != nullptr) *out = now;
  return now;
}

}  // extern "C"
