#include "base/result.h"

namespace dozo {

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::not_found: return "not found";
    case Fault::exists: return "exists";
    case Fault::malformed: return "malformed";
    case Fault::not_authentic: return "not authentic";
    case Fault::denied: return "denied";
    case Fault::stale: return "stale";
    case Fault::corrupt: return "corrupt";
    case Fault::over_limit: return "over limit";
    case Fault::unavailable: return "unavailable";
    case Fault::unsupported: return "unsupported";
  }
  return "unknown";
}

}  // namespace dozo
