// INVARIANT: for our own bugs. Always on, aborts with the place. Nothing that a peer, a file or a user does may reach one:
// such a reach is a remote crash, and a bug of ours.
#pragma once

namespace dozo {
[[noreturn]] void invariant_broken(const char* condition, const char* file, int line);
}  // namespace dozo

#define INVARIANT(condition) ((condition) ? (void)0 : ::dozo::invariant_broken(#condition, __FILE__, __LINE__))
