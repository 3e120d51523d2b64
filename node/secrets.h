// Secrets: how a person or a machine hands one to `dozo` and `dozod`: a file, or the terminal with nothing echoed. Never an argument, never the environment.
// Threads: one, before any other is started.
#pragma once
#include <string>

#include "crypto/key_file.h"
#include "node/home.h"

namespace dozo::node {

/// What was given as --key-file and --passphrase-file.
struct SecretOptions {
  std::string key_file, passphrase_file;
  bool given() const { return !key_file.empty() || !passphrase_file.empty(); }
};

/// For a new secret file: by the options, else a passphrase typed twice. Faults: malformed (an empty or two different passphrases), unavailable (no terminal).
Result<crypto::Unlocking> new_secret(const SecretOptions& options, const std::string& what);
/// To open what `protection` says. Faults: denied (the other kind was given), unavailable (no terminal), those of reading the file.
Result<crypto::Unlocking> secret_for(crypto::Protection protection, const SecretOptions& options, const std::string& what);
/// What opens a home: the options, else the file that its settings name, else the terminal.
Result<HomeKeys> open_home_keys(const Home& home, const SecretOptions& options);

}  // namespace dozo::node
