// The reference database behind a GitRepository, and what both backends share. Private to this room's git_*.cpp: it shows libgit2.
#pragma once
#include <git2/errors.h>
#include <git2/oid.h>
#include <git2/types.h>

#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "store/git_backend.h"

namespace dozo::store {

/// libgit2 passes on a number and a thread's text; the first fault of the shelf is kept here, whole.
struct GitTrouble {
  std::optional<Error> fault;
};

inline git_oid raw_id(const GitId& id) {
  git_oid out{};
  std::memcpy(out.id, id.bytes.data(), GitId::size);
  return out;
}
inline GitId git_id(const git_oid& id) {
  GitId out;
  std::memcpy(out.bytes.data(), id.id, GitId::size);
  return out;
}

/// Runs a callback's work: its code, or GIT_ERROR with the fault kept. Nothing is thrown into libgit2.
template <class Work>
int guarded(GitTrouble& trouble, Work work) noexcept {
  try {
    Result<int> code = work();
    if (code) return *code;
    git_error_set_str(GIT_ERROR_CALLBACK, "the shelf refused");
    if (!trouble.fault) trouble.fault = std::move(code.error());
  } catch (const std::bad_alloc&) {
    git_error_set_oom();
  } catch (const std::exception&) {
    git_error_set_str(GIT_ERROR_CALLBACK, "the shelf threw");
  }
  return GIT_ERROR;
}

/// Gives `references` a backend over the shelf. A code of libgit2.
int add_ref_backend(git_refdb* references, GitShelf& shelf, GitTrouble& trouble);

}  // namespace dozo::store
