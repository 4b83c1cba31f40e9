// The data directory of a server (`gantry server`, `gantry dev`) and what clients find in it: where the server listens
// and with what to sign.
//
//   credentials.json  mode 0600: {"clientId": "root", "accessToken": ...}; made at the first start
//   secret.key        mode 0600: what secrets in the database are sealed with (server/auth/seal.h); made at the first
//   start endpoint          the server's URL; written at every start gantry.db objects/ logs/ agent/
//
// Everything here blocks on the local disk.
#pragma once

#include <string>

#include "base/env.h"
#include "base/files.h"
#include "wire/hawk.h"

namespace gantry::cli {

struct DataDirectory {
  std::string path;

  std::string database() const { return path + "/gantry.db"; }
  std::string objects() const { return path + "/objects"; }
  std::string logs() const { return path + "/logs"; }
  std::string agent() const { return path + "/agent"; }
  std::string credentials() const { return path + "/credentials.json"; }
  std::string seal_keys() const { return path + "/secret.key"; }
  std::string endpoint() const { return path + "/endpoint"; }
};

/// `chosen`, or $GANTRY_DATA_DIR, or ~/.local/share/gantry. Throws Error if there is none of them.
DataDirectory data_directory(const std::string& chosen);
/// Makes it, with mode 0700, if it is not there. Throws Error if it cannot be used.
void make_data_directory(const DataDirectory& directory);

/// Throws Error(not_found) if the file is not there, invalid_input if it is not what it should be.
wire::HawkCredentials read_credentials(const DataDirectory& directory);
/// The same, but makes the file with a fresh 256-bit token if it is not there.
wire::HawkCredentials read_or_make_credentials(Env& env, const DataDirectory& directory);

/// The URL of the server that was started last on this directory; throws Error(not_found).
std::string read_endpoint(const DataDirectory& directory);

}  // namespace gantry::cli
