#include "wire/task_definition.h"

#include <gtest/gtest.h>

#include "wire/payload.h"
#include "wire/testing/definitions.h"

namespace gantry::wire {
namespace {

const Time created = time_from_ms(1'795'132'800'000);
const TaskId id = *TaskId::parse("AAAAAAAAQACAAAAAAAAAAA");

PayloadRule native_queue(std::string_view) { return PayloadRule::native; }
PayloadRule foreign_queue(std::string_view) { return PayloadRule::any_object; }

Result<TaskDefinition> parse(const json::object& body, const PayloadRuleOf& rule = native_queue) {
  return parse_task_definition(id, text_of(body), rule);
}

/// A valid definition with one member replaced or, by null, removed.
json::object with(std::string_view key, AnyJson any) {
  json::object body = task_json(created);
  if (any.value.is_null()) {
    body.erase(key);
  } else {
    body[key] = std::move(any.value);
  }
  return body;
}

json::object with_payload(std::string_view key, AnyJson any) {
  json::object body = task_json(created);
  body["payload"].as_object()[key] = std::move(any.value);
  return body;
}

json::object with_metadata(std::string_view key, AnyJson any) {
  json::object body = task_json(created);
  body["metadata"].as_object()[key] = std::move(any.value);
  return body;
}

void accepts(const json::object& body) {
  auto task = parse(body);
  EXPECT_TRUE(task) << task.error().message();
}

void refuses(const json::object& body, std::string_view message, std::string_view hint = "") {
  auto task = parse(body);
  ASSERT_FALSE(task) << "accepted; expected: " << message;
  EXPECT_EQ(task.error().code(), ErrorCode::invalid_input);
  EXPECT_NE(task.error().message().find(message), std::string::npos) << task.error().message();
  EXPECT_NE(task.error().hint().find(hint), std::string::npos) << task.error().hint();
}

std::string canonical(const json::object& body) { return value_or_throw(parse(body)).canonical; }

json::array texts(std::size_t count, std::size_t bytes = 3) {
  json::array array;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = std::to_string(i);
    array.emplace_back(text + std::string(bytes - std::min(bytes, text.size()), 'x'));
  }
  return array;
}

TEST(TaskDefinition, FillsInTheDefaults) {
  TaskDefinition task = value_or_throw(parse(task_json(created)));
  EXPECT_EQ(task.task_queue, "prov/queue");
  EXPECT_EQ(task.scheduler, "-");
  EXPECT_EQ(task.project, "none");
  EXPECT_EQ(task.group, id);
  EXPECT_EQ(task.priority, Priority::lowest);
  EXPECT_EQ(task.retries, 5);
  EXPECT_EQ(task.expires, task.deadline + hours(365 * 24));
  EXPECT_EQ(task.memory_bytes, ResourceLimits::memory_bytes_default);
  EXPECT_EQ(task.canonical,
            R"({"provisionerId":"prov","workerType":"queue","taskQueueId":"prov/queue","schedulerId":"-",)"
            R"("projectId":"none","taskGroupId":"AAAAAAAAQACAAAAAAAAAAA","dependencies":[],"requires":"all-completed",)"
            R"("routes":[],"priority":"lowest","retries":5,"created":"2026-11-20T00:00:00.000Z",)"
            R"("deadline":"2026-11-20T01:00:00.000Z","expires":"2027-11-20T01:00:00.000Z","scopes":[],)"
            R"("payload":{"command":["true"],"image":"debian:12","maxRunTime":600},)"
            R"("metadata":{"name":"a test","description":"","owner":"me@example.com","source":"https://example.com/"},)"
            R"("tags":{},"extra":{}})");
}

TEST(TaskDefinition, QueueIdHasTwoSpellings) {
  json::object pair = with("taskQueueId", nullptr);
  pair["provisionerId"] = "prov";
  pair["workerType"] = "queue";
  EXPECT_EQ(canonical(pair), canonical(task_json(created)));
  json::object both = pair;
  both["taskQueueId"] = "prov/queue";
  EXPECT_EQ(canonical(both), canonical(task_json(created)));
  both["taskQueueId"] = "prov/other";
  refuses(both, "taskQueueId: \"prov/other\" contradicts");
  pair.erase("workerType");
  refuses(pair, "workerType: is required where the other");
  refuses(with("taskQueueId", nullptr), "taskQueueId: is required");
}

TEST(TaskDefinition, QueueIdPartsHave1To38Characters) {
  std::string longest(38, 'a');
  accepts(with("taskQueueId", longest + "/" + longest));
  refuses(with("taskQueueId", longest + "a/" + longest), "taskQueueId");
  refuses(with("taskQueueId", longest + "/a" + longest), "taskQueueId");
  for (const char* wrong : {"prov", "/queue", "prov/", "prov/a/b", "pr ov/q", "prov/qu\xC3\xA9"}) {
    refuses(with("taskQueueId", wrong), "taskQueueId");
  }
}

TEST(TaskDefinition, SchedulerProjectAndGroup) {
  accepts(with("schedulerId", std::string(38, 's')));
  refuses(with("schedulerId", std::string(39, 's')), "schedulerId");
  refuses(with("schedulerId", ""), "schedulerId");
  accepts(with("projectId", std::string(499, 'p') + "/"));
  refuses(with("projectId", std::string(501, 'p')), "projectId");
  refuses(with("projectId", "a b"), "projectId");
  accepts(with("taskGroupId", "fN1SbArXTPSVFNUvaOlinQ"));
  refuses(with("taskGroupId", "fN1SbArXTPSVFNUvaOlin"), "taskGroupId: \"fN1SbArXTPSVFNUvaOlin\" is not a slugid");
  refuses(with("taskGroupId", ""), "taskGroupId");
}

TEST(TaskDefinition, PriorityAndRetries) {
  EXPECT_EQ(value_or_throw(parse(with("priority", "highest"))).priority, Priority::highest);
  EXPECT_EQ(value_or_throw(parse(with("priority", "normal"))).priority, Priority::lowest);
  EXPECT_EQ(canonical(with("priority", "normal")), canonical(with("priority", "lowest")));
  refuses(with("priority", "urgent"), "priority: \"urgent\" is not one of highest");
  refuses(with("priority", 5), "priority: must be a string");
  accepts(with("retries", 0));
  accepts(with("retries", 49));
  refuses(with("retries", 50), "retries: must be an integer from 0 to 49");
  refuses(with("retries", -1), "retries");
  refuses(with("retries", 1.5), "retries");
  refuses(with("retries", "5"), "retries");
}

TEST(TaskDefinition, RoutesAreFewShortAndUnique) {
  accepts(with("routes", texts(64, 249)));
  refuses(with("routes", texts(65)), "routes: must have at most 64 elements, has 65");
  refuses(with("routes", texts(1, 250)), "routes.0: must be 1 to 249");
  refuses(with("routes", {"a", "b", "a"}), "routes: has an element twice");
  refuses(with("routes", {"a", ""}), "routes.1");
  refuses(with("routes", "a"), "routes: must be an array");
  // The schema says nothing of characters beyond ASCII, and what it refuses goes before what it does not.
  refuses(with("routes", {"caf\xC3\xA9"}), "routes.0");
  EXPECT_EQ(parse(with("routes", {"caf\xC3\xA9"})).error().fault(), InputFault::meaning);
  refuses(with("routes", {"caf\xC3\xA9", ""}), "routes.1");
}

TEST(TaskDefinition, ScopesArePrintableAndEndInOneStarAtMost) {
  accepts(with("scopes", {"queue:*", "a", "a"}));
  refuses(with("scopes", {"queue:**"}), "must not end in two stars");
  refuses(with("scopes", {"caf\xC3\xA9"}), "scopes.0");
  accepts(with("scopes", texts(scopes_max)));
  refuses(with("scopes", texts(scopes_max + 1)), "scopes: must have at most 1000");
}

TEST(TaskDefinition, TimesMustBeInOrder) {
  auto at = [](Duration after) { return format_time(created + after); };
  accepts(with("deadline", at(Duration(0))));
  refuses(with("deadline", at(-Duration(1))), "deadline: is before created");
  accepts(with("deadline", at(deadline_max)));
  refuses(with("deadline", at(deadline_max + Duration(1))), "deadline: is more than 5 days after created");
  accepts(with("expires", at(hours(1))));
  refuses(with("expires", at(hours(1) - Duration(1))), "expires: is before deadline");
  refuses(with("deadline", "tomorrow"), "deadline: must be a time");
  refuses(with("created", 5), "created: must be a time");
}

TEST(TaskDefinition, SaysWhatIsMissing) {
  for (std::string key : {"created", "deadline", "payload", "metadata"})
    refuses(with(key, nullptr), key + ": is required");
  json::object body = task_json(created);
  body["metadata"].as_object().erase("owner");
  refuses(body, "metadata.owner: is required");
}

TEST(TaskDefinition, MetadataHasLimits) {
  accepts(with_metadata("name", std::string(255, 'n')));
  refuses(with_metadata("name", std::string(256, 'n')), "metadata.name");
  std::string accents;
  for (int i = 0; i < 255; ++i) accents += "\xC3\xA9";
  accepts(with_metadata("name", accents));  // 255 characters
  refuses(with_metadata("name", accents + "x"), "metadata.name");
  accepts(with_metadata("description", std::string(32768, 'd')));
  refuses(with_metadata("description", std::string(32769, 'd')), "metadata.description");
  refuses(with_metadata("owner", std::string(256, 'o')), "metadata.owner");
  accepts(with_metadata("source", "https://" + std::string(4088, 's')));
  refuses(with_metadata("source", "https://" + std::string(4089, 's')), "metadata.source");
  accepts(with_metadata("source", "ssh://host/x"));
  accepts(with_metadata("source", "git@host:x"));
  refuses(with_metadata("source", "ftp://x"), "metadata.source");
  refuses(with_metadata("nmae", "x"), "metadata.nmae: unknown key", "did you mean \"name\"?");
}

TEST(TaskDefinition, TagsAreShortStringsAndExtraIsAnyObject) {
  accepts(with("tags", json::object{{"k", std::string(4096, 't')}}));
  refuses(with("tags", json::object{{"k", std::string(4097, 't')}}), "tags.k");
  refuses(with("tags", json::object{{"k", 1}}), "tags.k: must be a string");
  accepts(with("extra", json::object{{"deep", json::object{{"x", {1, 2}}}}}));
  refuses(with("extra", json::array()), "extra: must be an object");
}

/// Slugids that differ.
json::array slugids(std::size_t count) {
  json::array ids;
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (int shift = 0; shift < 3; ++shift)
      bytes[static_cast<std::size_t>(shift)] = static_cast<std::uint8_t>(i >> (8 * shift));
    bytes[6] = 0x40;
    bytes[8] = 0x80;
    ids.emplace_back(TaskId::from_bytes(bytes).to_string());
  }
  return ids;
}

TEST(TaskDefinition, DependenciesAreUpTo10000DifferentTasks) {
  accepts(with("dependencies", json::array()));
  accepts(with("dependencies", {"fN1SbArXTPSVFNUvaOlinQ", id.to_string()}));
  accepts(with("dependencies", slugids(dependencies_max)));
  refuses(with("dependencies", slugids(dependencies_max + 1)), "dependencies: must have at most 10000");
  refuses(with("dependencies", {"fN1SbArXTPSVFNUvaOlinQ", "fN1SbArXTPSVFNUvaOlinQ"}),
          "dependencies: has an element twice");
  refuses(with("dependencies", {"fN1SbArXTPSVFNUvaOlinQ", "no-slugid"}), "dependencies.1: must be a taskId");
  refuses(with("dependencies", {1}), "dependencies.0: must be a taskId");
  refuses(with("dependencies", "fN1SbArXTPSVFNUvaOlinQ"), "dependencies");
  TaskDefinition task = value_or_throw(parse(with("dependencies", {"fN1SbArXTPSVFNUvaOlinQ"})));
  EXPECT_EQ(task.dependencies, std::vector{*TaskId::parse("fN1SbArXTPSVFNUvaOlinQ")});
  EXPECT_NE(task.canonical.find(R"("dependencies":["fN1SbArXTPSVFNUvaOlinQ"])"), std::string::npos);
}

TEST(TaskDefinition, RequiresIsAllCompletedOrAllResolved) {
  EXPECT_FALSE(value_or_throw(parse(with("requires", "all-completed"))).any_outcome);
  EXPECT_TRUE(value_or_throw(parse(with("requires", "all-resolved"))).any_outcome);
  refuses(with("requires", "some"), "requires");
}

TEST(TaskDefinition, TagsAreKeptForEvents) {
  EXPECT_EQ(value_or_throw(parse(task_json(created))).tags, "");
  EXPECT_EQ(value_or_throw(parse(with("tags", json::object{{"b", "2"}, {"a", "1"}}))).tags, R"({"a":"1","b":"2"})");
}

TEST(TaskDefinition, UnknownKeysComeWithASuggestion) {
  refuses(with("prioritty", "low"), "prioritty: unknown key", "did you mean \"priority\"?");
  refuses(with("workertype", "x"), "workertype: unknown key", "did you mean \"workerType\"?");
  refuses(with_payload("featurs", json::object()), "payload.featurs: unknown key", "did you mean \"features\"?");
  refuses(with_payload("maxRuntime", 1), "payload.maxRuntime: unknown key", "did you mean \"maxRunTime\"?");
  refuses(with_payload("features", json::object{{"liveLog", true}}), "payload.features.liveLog: unknown key");
}

TEST(TaskDefinition, APayloadIsReadOnlyWhereANativeAgentServesTheQueue) {
  json::object foreign = with("payload", json::object{{"anything", {1, 2, 3}}});
  refuses(foreign, "payload.");
  auto task = parse(foreign, foreign_queue);
  ASSERT_TRUE(task) << task.error().message();
  EXPECT_EQ(task.value().memory_bytes, 0);
  EXPECT_FALSE(parse(with("payload", "text"), foreign_queue));
}

TEST(TaskDefinition, AnArtifactMustNotOutliveItsTask) {
  auto artifact = [](Time expires) {
    json::object spec{{"type", "file"}, {"path", "/x"}, {"expires", format_time(expires)}};
    return with_payload("artifacts", json::object{{"public/x", spec}});
  };
  accepts(artifact(created + hours(1 + 365 * 24)));
  refuses(artifact(created + hours(1 + 365 * 24) + Duration(1)), "payload.artifacts.public/x.expires");
}

TEST(TaskDefinition, EqualDefinitionsHaveEqualBytesHoweverTheyAreSpelt) {
  std::string one = text_of(task_json(created));
  json::object reversed;
  json::object body = task_json(created);
  std::vector<std::string> keys;
  for (const auto& member : body) keys.insert(keys.begin(), std::string(member.key()));
  for (const auto& key : keys) reversed[key] = body[key];
  reversed["created"] = "2026-11-20T02:00:00+02:00";
  reversed["payload"].as_object()["maxRunTime"] = 600.0;
  reversed["retries"] = 5;
  std::string spaced = text_of(reversed);
  for (std::size_t at = spaced.find(','); at != std::string::npos; at = spaced.find(',', at + 4))
    spaced.insert(at, " \n\t");
  auto a = value_or_throw(parse_task_definition(id, one, native_queue));
  auto b = value_or_throw(parse_task_definition(id, spaced, native_queue));
  EXPECT_EQ(a.canonical, b.canonical);
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_NE(a.digest, value_or_throw(parse(with("retries", 4))).digest);
}

TEST(TaskDefinition, TheCanonicalSpellingIsAFixedPoint) {
  std::string once = canonical(with_payload("env", json::object{{"Z", "\"\n\\"}, {"A", "caf\xC3\xA9"}}));
  EXPECT_EQ(value_or_throw(parse_task_definition(id, once, native_queue)).canonical, once);
}

TEST(TaskDefinition, HasAtMost256KiB) {
  std::size_t used = canonical(task_json(created)).size();
  auto filled = [&](std::size_t bytes) { return with("extra", json::object{{"x", std::string(bytes, 'x')}}); };
  std::size_t room = definition_bytes_max - used - std::string_view("\"x\":\"\"").size();
  EXPECT_EQ(canonical(filled(room)).size(), definition_bytes_max);
  auto over = parse(filled(room + 1));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), ErrorCode::too_large);
}

TEST(TaskDefinition, SurvivesHostileBytes) {
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("\0", 1), std::string("{\"created\":\"\xFF\"}"),
        std::string(100'000, '['), std::string("{\"extra\":") + std::string(100'000, '{')}) {
    EXPECT_FALSE(parse_task_definition(id, body, native_queue));
  }
}

}  // namespace
}  // namespace gantry::wire
