#include "store/git_backend.h"

#include <git2.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/refdb_backend.h>
#include <git2/sys/refs.h>
#include <git2/sys/repository.h>

#include <cstring>
#include <new>
#include <utility>

#include "store/git_refdb.h"

namespace dozo::store {

void start_libgit2() {
  static const bool started = [] {
    git_libgit2_init();
    for (const int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA})
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, static_cast<ssize_t>(64) << 20);
    git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, static_cast<std::size_t>(1));
    git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, static_cast<std::size_t>(1));
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
    return true;
  }();
  (void)started;
}

namespace {

git_object_t type_of(GitKind kind) {
  switch (kind) {
    case GitKind::blob: return GIT_OBJECT_BLOB;
    case GitKind::tree: return GIT_OBJECT_TREE;
    case GitKind::commit: return GIT_OBJECT_COMMIT;
    case GitKind::tag: return GIT_OBJECT_TAG;
  }
  return GIT_OBJECT_INVALID;
}

std::optional<GitKind> kind_of(git_object_t type) {
  for (const GitKind kind : {GitKind::blob, GitKind::tree, GitKind::commit, GitKind::tag})
    if (type_of(kind) == type) return kind;
  return std::nullopt;
}

// ---- object database -------------------------------------------------------------------------------------------------
struct ObjectBackend : git_odb_backend {
  GitShelf* shelf{};
  GitTrouble* trouble{};
};
ObjectBackend& mine(git_odb_backend* backend) { return *static_cast<ObjectBackend*>(backend); }

int read_object(void** data, std::size_t* size, git_object_t* type, git_odb_backend* backend, const git_oid* id) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    const auto object = TRY(mine(backend).shelf->get(git_id(*id)));
    if (!object) {
      git_error_set_str(GIT_ERROR_ODB, "object not found");
      return GIT_ENOTFOUND;
    }
    // One byte more, zero: some of libgit2's parsers look at it.
    void* buffer = git_odb_backend_data_alloc(backend, object->body.size() + 1);
    if (buffer == nullptr) return GIT_ERROR;
    if (!object->body.empty()) std::memcpy(buffer, object->body.data(), object->body.size());
    static_cast<char*>(buffer)[object->body.size()] = 0;
    *data = buffer;
    *size = object->body.size();
    *type = type_of(object->kind);
    return GIT_OK;
  });
}

int read_object_header(std::size_t* size, git_object_t* type, git_odb_backend* backend, const git_oid* id) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    const auto object = TRY(mine(backend).shelf->get(git_id(*id)));
    if (!object) {
      git_error_set_str(GIT_ERROR_ODB, "object not found");
      return GIT_ENOTFOUND;
    }
    *size = object->body.size();
    *type = type_of(object->kind);
    return GIT_OK;
  });
}

int read_object_prefix(git_oid* whole, void** data, std::size_t* size, git_object_t* type, git_odb_backend* backend, const git_oid* id, std::size_t length) {
  if (length < GIT_OID_HEXSZ) {
    git_error_set_str(GIT_ERROR_ODB, "abbreviated ids find nothing here");
    return GIT_ENOTFOUND;
  }
  const int code = read_object(data, size, type, backend, id);
  if (code == GIT_OK) git_oid_cpy(whole, id);
  return code;
}

/// Not an error code but a truth value: a fault must come out as "no", and the fault is kept.
int object_exists(git_odb_backend* backend, const git_oid* id) {
  const int code = guarded(*mine(backend).trouble, [&]() -> Result<int> { return TRY(mine(backend).shelf->has(git_id(*id))) ? 1 : 0; });
  return code == 1 ? 1 : 0;
}

int object_exists_prefix(git_oid* whole, git_odb_backend* backend, const git_oid* id, std::size_t length) {
  if (length < GIT_OID_HEXSZ || object_exists(backend, id) == 0) return GIT_ENOTFOUND;
  git_oid_cpy(whole, id);
  return GIT_OK;
}

int freshen_object(git_odb_backend* backend, const git_oid* id) { return object_exists(backend, id) == 1 ? GIT_OK : GIT_ENOTFOUND; }

int write_object(git_odb_backend* backend, const git_oid* id, const void* data, std::size_t size, git_object_t type) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    const auto kind = kind_of(type);
    if (!kind) return fail(Fault::unsupported, "a git object of a kind that is not kept");
    TRY(mine(backend).shelf->put(git_id(*id), *kind, {static_cast<const std::uint8_t*>(data), size}));
    return GIT_OK;
  });
}

/// libgit2 calls this without looking whether it is there.
int each_object(git_odb_backend* backend, git_odb_foreach_cb take, void* payload) {
  return guarded(*mine(backend).trouble, [&]() -> Result<int> {
    int code = GIT_OK;
    TRY(mine(backend).shelf->each_id([&](const GitId& id) {
      const git_oid oid = raw_id(id);
      code = take(&oid, payload);
      return code == GIT_OK;
    }));
    return code;
  });
}

void free_objects(git_odb_backend* backend) { delete static_cast<ObjectBackend*>(backend); }

}  // namespace

// ---- the repository --------------------------------------------------------------------------------------------------
struct GitRepository::Body {
  GitShelf* shelf{};
  GitTrouble trouble;
  git_odb* odb{};
  git_repository* repository{};
  ~Body() {
    git_repository_free(repository);
    git_odb_free(odb);
  }
};

GitRepository::GitRepository(std::unique_ptr<Body> body) : body_(std::move(body)) {}
GitRepository::~GitRepository() = default;

Result<std::unique_ptr<GitRepository>> GitRepository::over(GitShelf& shelf) {
  start_libgit2();
  std::unique_ptr<GitRepository> out(new GitRepository(std::make_unique<Body>()));
  Body& body = *out->body_;
  body.shelf = &shelf;
  const auto failed = [&] { return std::unexpected(out->trouble(Fault::unavailable)); };

  if (git_odb_new(&body.odb) != GIT_OK) return failed();
  auto objects = std::make_unique<ObjectBackend>();
  if (git_odb_init_backend(objects.get(), GIT_ODB_BACKEND_VERSION) != GIT_OK) return failed();
  objects->shelf = &shelf;
  objects->trouble = &body.trouble;
  objects->read = read_object;
  objects->read_header = read_object_header;
  objects->read_prefix = read_object_prefix;
  objects->write = write_object;
  objects->exists = object_exists;
  objects->exists_prefix = object_exists_prefix;
  objects->foreach = each_object;
  objects->freshen = freshen_object;
  objects->free = free_objects;
  if (git_odb_add_backend(body.odb, objects.get(), 1) != GIT_OK) return failed();
  (void)objects.release();  // the odb frees it

  // Bare from the start, and without a configuration nothing is looked for on disk.
  if (git_repository_new(&body.repository) != GIT_OK) return failed();
  git_config* config = nullptr;
  if (git_config_new(&config) != GIT_OK) return failed();
  int code = git_repository_set_config(body.repository, config);
  git_config_free(config);
  if (code != GIT_OK || git_repository_set_odb(body.repository, body.odb) != GIT_OK || git_repository_set_bare(body.repository) != GIT_OK) return failed();
  git_refdb* references = nullptr;
  if (git_refdb_new(&references, body.repository) != GIT_OK) return failed();
  code = add_ref_backend(references, shelf, body.trouble);
  if (code == GIT_OK) code = git_repository_set_refdb(body.repository, references);
  git_refdb_free(references);
  if (code != GIT_OK) return failed();
  return out;
}

Result<GitId> GitRepository::write(GitKind kind, ByteView body, const std::optional<GitId>& base) {
  git_oid id{};
  body_->shelf->expect_change_of(base);
  const int code = git_odb_write(&id, body_->odb, body.data(), body.size(), type_of(kind));
  if (code != GIT_OK) return std::unexpected(trouble(Fault::unavailable));
  body_->trouble.fault.reset();
  return git_id(id);
}

Result<Bytes> GitRepository::read(GitKind kind, const GitId& id) {
  git_odb_object* object = nullptr;
  const git_oid oid = raw_id(id);
  const int code = git_odb_read(&object, body_->odb, &oid);
  if (code != GIT_OK) return std::unexpected(trouble(code == GIT_ENOTFOUND ? Fault::not_found : Fault::corrupt));
  const std::unique_ptr<git_odb_object, decltype(&git_odb_object_free)> held(object, git_odb_object_free);
  if (git_odb_object_type(object) != type_of(kind)) return fail(Fault::corrupt, "an object of history of another kind than its place says");
  const auto* data = static_cast<const std::uint8_t*>(git_odb_object_data(object));
  return Bytes(data, data + git_odb_object_size(object));
}

git_repository* GitRepository::raw() const { return body_->repository; }

Error GitRepository::trouble(Fault otherwise) {
  if (body_->trouble.fault) {
    Error out = std::move(*body_->trouble.fault);
    body_->trouble.fault.reset();
    return out;
  }
  const git_error* last = git_error_last();
  Error out{otherwise, std::string("libgit2: ") + (last != nullptr && last->message != nullptr ? last->message : "no reason given")};
  git_error_clear();
  return out;
}

}  // namespace dozo::store
