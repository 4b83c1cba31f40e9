// Who makes a request, and what they may do.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "core/access/scopes.h"

namespace gantry::auth {

struct Identity {
  std::string client_id;                           // empty: anonymous
  std::shared_ptr<const access::ScopeSet> scopes;  // never null
  std::optional<Time> expires;                     // of temporary credentials, or of the bewit if that is earlier
  /// The hash of the body that the client signed, in base64; empty if it signed none. Whoever reads the body calls
  /// check_payload_hash before believing it.
  std::string payload_hash;

  bool anonymous() const { return client_id.empty(); }

  /// not_authorized, naming the scope that is missing.
  Result<void> require(std::string_view scope) const;
  /// not_authorized, naming what is missing of the expression.
  Result<void> require_expression(const access::ScopeExpression& expression) const;
};

/// not_authenticated if the client signed the hash of another body. `content_type` is that header's value.
Result<void> check_payload_hash(const Identity& identity, std::string_view content_type, std::string_view body);

}  // namespace gantry::auth
