// Signing verbs: what custodians do on their own machines, and HQ with what they bring back (policy/signing.h).
// Threads: one.
#pragma once
#include "tools/authority_directory.h"
#include "tools/command.h"

namespace dozo::tools {

/// Keeps a draft in the authority's folder, and at `output` where that is not empty. Faults: exists (there is a file), those of writing.
Result<void> keep_draft(const Common& common, const AuthorityDirectory& directory, const policy::DraftFile& draft, const std::string& output);

/// show, root, key, rekey, sign, import.
void add_signing_verbs(CLI::App& authority, Common& common);
/// suspend, ratify, lift.
void add_suspend_verbs(CLI::App& authority, Common& common);

}  // namespace dozo::tools
