#include "store/git_refdb.h"

#include <fnmatch.h>
#include <git2.h>
#include <git2/sys/refdb_backend.h>
#include <git2/sys/refs.h>

#include <memory>
#include <string>
#include <vector>

namespace dozo::store {
namespace {

struct RefBackend : git_refdb_backend {
  GitShelf* shelf{};
  GitTrouble* trouble{};
};
RefBackend& mine(git_refdb_backend* backend) { return *static_cast<RefBackend*>(backend); }

git_reference* made(const GitRef& ref) {
  if (!ref.id) return git_reference__alloc_symbolic(ref.name.c_str(), ref.target.c_str());
  const git_oid id = raw_id(*ref.id);
  return git_reference__alloc(ref.name.c_str(), &id, nullptr);
}

GitRef taken(const git_reference* ref) {
  GitRef out{git_reference_name(ref), std::nullopt, {}};
  if (git_reference_type(ref) == GIT_REFERENCE_SYMBOLIC) {
    out.target = git_reference_symbolic_target(ref);
  } else {
    out.id = git_id(*git_reference_target(ref));
  }
  return out;
}

int not_found() {
  git_error_set_str(GIT_ERROR_REFERENCE, "reference not found");
  return GIT_ENOTFOUND;
}

/// Whether `now` is what the caller believes it to be. An id of zeros says: not there.
int compare(const std::optional<GitRef>& now, const git_oid* old_id, const char* old_target) {
  bool same = true;
  if (old_id != nullptr) same = git_oid_is_zero(old_id) ? !now : now && now->id && *now->id == git_id(*old_id);
  if (old_target != nullptr) same = same && now && !now->id && now->target == old_target;
  if (same) return GIT_OK;
  git_error_set_str(GIT_ERROR_REFERENCE, "the reference has changed meanwhile");
  return GIT_EMODIFIED;
}

int ref_exists(int* exists, git_refdb_backend* backend, const char* name) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    *exists = TRY(mine(backend).shelf->get_ref(name)) ? 1 : 0;
    return GIT_OK;
  });
}

int lookup_ref(git_reference** out, git_refdb_backend* backend, const char* name) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    *out = nullptr;
    const auto ref = TRY(mine(backend).shelf->get_ref(name));
    if (!ref) return not_found();
    *out = made(*ref);
    return *out != nullptr ? GIT_OK : GIT_ERROR;
  });
}

int write_ref(git_refdb_backend* backend, const git_reference* ref, int force, const git_signature*, const char*, const git_oid* old_id,
              const char* old_target) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    const GitRef wanted = taken(ref);
    const auto now = TRY(mine(backend).shelf->get_ref(wanted.name));
    if (old_id != nullptr || old_target != nullptr) {
      // Also when forced: git_reference_set_target forces, and relies on this comparison.
      if (const int code = compare(now, old_id, old_target); code != GIT_OK) return code;
    } else if (now && force == 0) {
      git_error_set_str(GIT_ERROR_REFERENCE, "the reference is there already");
      return GIT_EEXISTS;
    }
    TRY(mine(backend).shelf->put_ref(wanted));
    return GIT_OK;
  });
}

int rename_ref(git_reference** out, git_refdb_backend* backend, const char* old_name, const char* new_name, int force, const git_signature*, const char*) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    *out = nullptr;
    auto ref = TRY(mine(backend).shelf->get_ref(old_name));
    if (!ref) return not_found();
    if (force == 0 && TRY(mine(backend).shelf->get_ref(new_name))) {
      git_error_set_str(GIT_ERROR_REFERENCE, "the reference is there already");
      return GIT_EEXISTS;
    }
    TRY(mine(backend).shelf->drop_ref(old_name));
    ref->name = new_name;
    TRY(mine(backend).shelf->put_ref(*ref));
    *out = made(*ref);
    return *out != nullptr ? GIT_OK : GIT_ERROR;
  });
}

int delete_ref(git_refdb_backend* backend, const char* name, const git_oid* old_id, const char* old_target) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    const auto now = TRY(mine(backend).shelf->get_ref(name));
    if (!now) return not_found();
    if (const int code = compare(now, old_id, old_target); code != GIT_OK) return code;
    TRY(mine(backend).shelf->drop_ref(name));
    return GIT_OK;
  });
}

// ---- iteration: references are few, all are read at once ----------------------------------------------------------------
struct RefIterator : git_reference_iterator {
  std::vector<GitRef> refs;
  std::size_t next_index{};
};
RefIterator& mine(git_reference_iterator* iterator) { return *static_cast<RefIterator*>(iterator); }

int next_ref(git_reference** out, git_reference_iterator* iterator) {
  RefIterator& it = mine(iterator);
  if (it.next_index == it.refs.size()) return GIT_ITEROVER;
  *out = made(it.refs[it.next_index++]);
  return *out != nullptr ? GIT_OK : GIT_ERROR;
}

int next_ref_name(const char** out, git_reference_iterator* iterator) {
  RefIterator& it = mine(iterator);
  if (it.next_index == it.refs.size()) return GIT_ITEROVER;
  *out = it.refs[it.next_index++].name.c_str();
  return GIT_OK;
}

void free_iterator(git_reference_iterator* iterator) { delete static_cast<RefIterator*>(iterator); }

int iterate_refs(git_reference_iterator** out, git_refdb_backend* backend, const char* glob) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    auto it = std::make_unique<RefIterator>();
    it->next = next_ref;
    it->next_name = next_ref_name;
    it->free = free_iterator;
    TRY(mine(backend).shelf->each_ref([&](const GitRef& ref) {
      const bool wanted = ref.name.starts_with("refs/") && (glob == nullptr || fnmatch(glob, ref.name.c_str(), 0) == 0);
      if (wanted) it->refs.push_back(ref);
      return true;
    }));
    *out = it.release();
    return GIT_OK;
  });
}

// ---- logs of references: there are none; the records are the log -----------------------------------------------------------
int has_log(git_refdb_backend*, const char*) { return 0; }
int ensure_log(git_refdb_backend*, const char*) { return GIT_OK; }
int read_log(git_reflog** out, git_refdb_backend*, const char*) {
  *out = nullptr;
  git_error_set_str(GIT_ERROR_REFERENCE, "references have no log here");
  return GIT_ENOTFOUND;
}
int write_log(git_refdb_backend*, git_reflog*) { return GIT_OK; }
int rename_log(git_refdb_backend*, const char*, const char*) { return GIT_OK; }
int delete_log(git_refdb_backend*, const char*) { return GIT_OK; }

void free_refs(git_refdb_backend* backend) { delete static_cast<RefBackend*>(backend); }

}  // namespace

int add_ref_backend(git_refdb* references, GitShelf& shelf, GitTrouble& trouble) {
  auto backend = std::make_unique<RefBackend>();
  if (const int code = git_refdb_init_backend(backend.get(), GIT_REFDB_BACKEND_VERSION); code != GIT_OK) return code;
  backend->shelf = &shelf;
  backend->trouble = &trouble;
  backend->exists = ref_exists;
  backend->lookup = lookup_ref;
  backend->iterator = iterate_refs;
  backend->write = write_ref;
  backend->rename = rename_ref;
  backend->del = delete_ref;
  backend->has_log = has_log;
  backend->ensure_log = ensure_log;
  backend->reflog_read = read_log;
  backend->reflog_write = write_log;
  backend->reflog_rename = rename_log;
  backend->reflog_delete = delete_log;
  backend->free = free_refs;
  const int code = git_refdb_set_backend(references, backend.get());
  if (code == GIT_OK) (void)backend.release();  // the refdb frees it
  return code;
}

}  // namespace dozo::store
