// What the server offers, for programs: references of its services as Taskcluster publishes them, made from the table
// of routes, and the JSON schemas of what they take and answer (folder schemas/, embedded), with that of payloads
// (wire/payload_keys.h).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/api/router.h"

namespace gantry::server {

/// A file below schemas/.
struct EmbeddedFile {
  std::string_view path;
  std::string_view text;
};
std::span<const EmbeddedFile> embedded_schemas();

/// What a reference says of a method that its route does not.
struct MethodNotes {
  std::string_view service;  // "queue"
  std::string_view name;     // of the method: Route::name
  std::string_view title;
  std::string_view scopes;  // JSON as in the reference; empty: none are needed
  std::string_view input;   // schema without "v1/" and ".json#"; empty: no body
  std::string_view output;
  std::string_view stability = "stable";
  bool published = true;
};
std::span<const MethodNotes> method_notes();

/// A message that the queue publishes.
struct ExchangeNotes {
  std::string_view exchange;
  std::string_view name;
  std::string_view title;
  std::string_view schema;
  bool of_group = false;  // its routing key is that of a group
};
std::span<const ExchangeNotes> exchange_notes();

/// The services whose routes are published, in order.
std::span<const std::string_view> published_services();

/// Reference of one service: its routes below /api/<service>/v1, once for each name.
std::string api_reference(const Router& router, std::string_view service);
std::string exchanges_reference();

}  // namespace gantry::server
