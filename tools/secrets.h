// Secrets: the options of a verb that name one (node/secrets.h has what is done with them).
// Threads: one.
#pragma once
#include <string>

#include "node/secrets.h"

namespace CLI {
class App;
}

namespace dozo::tools {

using node::new_secret;
using node::open_home_keys;
using node::secret_for;
using node::SecretOptions;

/// `prefix`: before the options' names, where a verb needs two secrets ("home-").
void add_secret_options(CLI::App& verb, SecretOptions& options, const std::string& prefix = {});

}  // namespace dozo::tools
