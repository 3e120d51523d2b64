#include "store/text_patch.h"

#include <git2.h>

#include <memory>

#include "base/memory.h"
#include "store/git_backend.h"

namespace dozo::store {
namespace {

struct FreePatch {
  void operator()(git_patch* it) const { git_patch_free(it); }
};

int take_line(const git_diff_delta* /*delta*/, const git_diff_hunk* /*hunk*/, const git_diff_line* line, void* payload) {
  if (line->origin == GIT_DIFF_LINE_FILE_HDR) return 0;
  auto& out = *static_cast<std::string*>(payload);
  if (line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION || line->origin == GIT_DIFF_LINE_DELETION) out += line->origin;
  out.append(line->content, line->content_len);
  return 0;
}

}  // namespace

std::string text_patch(std::string_view before, std::string_view after) {
  start_libgit2();
  git_diff_options options = GIT_DIFF_OPTIONS_INIT;
  options.flags = GIT_DIFF_FORCE_TEXT;
  git_patch* made = nullptr;
  std::string out;
  // Of buffers in memory, memory is all that can be missing.
  if (git_patch_from_buffers(&made, before.data(), before.size(), nullptr, after.data(), after.size(), nullptr, &options) != 0) out_of_memory();
  const std::unique_ptr<git_patch, FreePatch> patch(made);
  if (git_patch_print(patch.get(), take_line, &out) != 0) out_of_memory();
  return out;
}

}  // namespace dozo::store
