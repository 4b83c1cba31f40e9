// References and schemas as they are served. Whether they are right is what tests/conformance asks.
#include "server/api/references.h"

#include <set>

#include <gtest/gtest.h>

#include "server/api/handlers.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

struct ReferencesTest : testing::Test, ServerWorld {
  json::value document(const std::string& path) {
    Answer answer = send({.target = path, .as = nullptr});
    EXPECT_EQ(answer.status, 200) << path;
    return answer.json();
  }
};

TEST_F(ReferencesTest, EveryServiceIsListed) {
  json::value manifest = document("/references/manifest.json");
  std::set<std::string> paths;
  for (const auto& path : manifest.at("references").as_array()) paths.emplace(path.as_string());
  for (std::string_view service : published_services()) {
    EXPECT_TRUE(paths.contains("/references/" + std::string(service) + "/v1/api.json")) << service;
  }
  for (const auto& path : paths) document(path);
  EXPECT_EQ(send({.target = "/references/none.json", .as = nullptr}).status, 404);
}

TEST_F(ReferencesTest, AMethodIsAsItsRouteAndItsNotesSay) {
  json::value reference = document("/references/index/v1/api.json");
  std::set<std::string> names;
  for (const auto& entry : reference.at("entries").as_array()) {
    names.emplace(entry.at("name").as_string());
    if (entry.at("name") == "findArtifactFromTask") {
      EXPECT_EQ(entry.at("route"), "/task/<indexPath>/artifacts/<name>");
      EXPECT_EQ(entry.at("args"), json::value({"indexPath", "name"}));
      EXPECT_EQ(entry.at("scopes"), "queue:get-artifact:<name>");
      EXPECT_EQ(entry.at("method"), "get");
    }
    if (entry.at("name") == "listTasks") EXPECT_EQ(entry.at("query").as_array().size(), 2u);
    if (entry.at("name") == "insertTask") EXPECT_EQ(entry.at("input"), "v1/insert-task-request.json#");
  }
  EXPECT_TRUE(names.contains("findTask"));
  EXPECT_FALSE(names.contains("listTasksPost"));
}

TEST_F(ReferencesTest, NotesAndRoutesAreOfTheSameMethods) {
  std::set<std::string> noted;
  std::set<std::string> monitoring;
  for (const auto& notes : method_notes()) {
    auto& names = notes.service.empty() ? monitoring : noted;
    names.emplace(std::string(notes.service) + "." + std::string(notes.name));
  }
  std::set<std::string> served;
  for (const auto& service : published_services()) {
    for (const auto& entry :
         document("/references/" + std::string(service) + "/v1/api.json").at("entries").as_array()) {
      std::string name(entry.at("name").as_string());
      if (monitoring.contains("." + name)) continue;
      served.insert(std::string(service) + "." + name);
    }
  }
  for (const auto& name : served) EXPECT_TRUE(noted.contains(name)) << name << " has no notes";
  for (const auto& notes : method_notes()) {
    if (notes.service.empty() || !notes.published) continue;
    std::string name = std::string(notes.service) + "." + std::string(notes.name);
    EXPECT_TRUE(served.contains(name)) << name << " has no route";
  }
}

TEST_F(ReferencesTest, EverySchemaThatIsNamedIsThere) {
  std::set<std::string> schemas;
  for (const auto& path : document("/schemas/manifest.json").at("schemas").as_array())
    schemas.emplace(path.as_string());
  for (const auto& path : schemas) EXPECT_EQ(document(path).at("$id").as_string(), path + "#");
  EXPECT_TRUE(schemas.contains("/schemas/docker-worker/v1/payload.json"));
  auto exists = [&](std::string_view service, std::string_view name) {
    return name.empty() || schemas.contains("/schemas/" + std::string(service) + "/v1/" + std::string(name) + ".json");
  };
  for (const auto& notes : method_notes()) {
    EXPECT_TRUE(exists(notes.service, notes.input)) << notes.input;
    EXPECT_TRUE(exists(notes.service, notes.output)) << notes.output;
    if (!notes.scopes.empty()) EXPECT_TRUE(parse_json(notes.scopes)) << notes.name;
  }
  for (const auto& notes : exchange_notes()) EXPECT_TRUE(exists("queue", notes.schema)) << notes.schema;
}

}  // namespace
}  // namespace gantry::server
