#include "core/state/codec.h"
#include "core/state/stored.h"

namespace gantry::state {

std::string encode(const Client& client) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("token", client.sealed_token);
  add_text(out, "description", client.description);
  add_texts(out, "scopes", client.scopes);
  add_time(out, "expires", client.expires);
  add_time(out, "created", client.created);
  add_time(out, "modified", client.modified);
  add_time(out, "rotated", client.rotated);
  add_time(out, "lastUsed", client.last_used);
  if (client.delete_on_expiration) out.field("deleteOnExpiration", true);
  if (client.disabled) out.field("disabled", true);
  out.end_object();
  return bytes;
}

template <>
Result<Client> decode<Client>(const Key& key, std::string_view bytes) {
  Stored stored("client", bytes);
  Client client;
  client.id = key.name;
  client.sealed_token = stored.text("token");
  client.description = stored.text("description");
  client.scopes = stored.texts("scopes");
  client.expires = stored.time("expires");
  client.created = stored.time("created");
  client.modified = stored.time("modified");
  client.rotated = stored.time("rotated");
  client.last_used = stored.time("lastUsed");
  client.delete_on_expiration = stored.flag("deleteOnExpiration", false);
  client.disabled = stored.flag("disabled", false);
  return stored.finish(std::move(client));
}

std::string encode(const Role& role) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_text(out, "description", role.description);
  add_texts(out, "scopes", role.scopes);
  add_time(out, "created", role.created);
  add_time(out, "modified", role.modified);
  out.end_object();
  return bytes;
}

template <>
Result<Role> decode<Role>(const Key& key, std::string_view bytes) {
  Stored stored("role", bytes);
  Role role;
  role.id = key.name;
  role.description = stored.text("description");
  role.scopes = stored.texts("scopes");
  role.created = stored.time("created");
  role.modified = stored.time("modified");
  return stored.finish(std::move(role));
}

std::string encode(const Secret& secret) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("value", secret.sealed_value);
  add_time(out, "expires", secret.expires);
  out.end_object();
  return bytes;
}

template <>
Result<Secret> decode<Secret>(const Key& key, std::string_view bytes) {
  Stored stored("secret", bytes);
  Secret secret;
  secret.name = key.name;
  secret.sealed_value = stored.text("value");
  secret.expires = stored.time("expires");
  return stored.finish(std::move(secret));
}

}  // namespace gantry::state
