// For tests of the image store: an engine and a server that do as they are told, and runs that want images.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "agent/images/image_store.h"
#include "agent/testing/agent_world.h"
#include "base/crypto.h"
#include "base/log.h"

namespace gantry::agent {

/// Has images by name; a pull waits until it is let through, fails or brings the image.
class ImageEngine : public FakeEngine {
 public:
  struct Pull {
    std::string image;
    std::optional<engine::RegistryLogin> login;
    std::function<void(std::string)> progress;
  };
  std::map<std::string, engine::ImageInfo> images;
  std::vector<Pull> pulls;
  std::vector<std::string> loads;  // the archives
  int pulling = 0;
  int pulling_most = 0;
  bool held = false;
  std::function<std::optional<Error>(const std::string&)> verdict = [](const std::string&) {
    return std::optional<Error>();
  };

  void add(const std::string& name) {
    engine::ImageInfo image;
    image.id = "sha256:" + hex(sha256(name));
    image.tags = {name};
    image.bytes = 1'500'000;
    images[name] = image;
  }
  void let_go() {
    held = false;
    gate_.notify_all();
  }

  Async<std::optional<engine::ImageInfo>> inspect_image(std::string image) override {
    for (const auto& [name, info] : images) {
      if (name == image || info.id.starts_with("sha256:" + image)) co_return info;
    }
    co_return std::nullopt;
  }
  Async<> pull_image(std::string image, std::optional<engine::RegistryLogin> login,
                     std::function<void(std::string)> progress) override {
    struct Count {
      int& number;
      explicit Count(int& n) : number(n) { ++number; }
      Count(const Count&) = delete;
      Count& operator=(const Count&) = delete;
      ~Count() { --number; }
    } count(pulling);
    pulling_most = std::max(pulling_most, pulling);
    pulls.push_back({image, login, progress});
    while (held) co_await gate_.wait();
    if (auto error = verdict(image)) throw *error;
    add(image);
  }
  Async<std::vector<std::string>> load_image(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes) override {
    loads.push_back(co_await net::read_all(*tar, 10'000'000));
    EXPECT_EQ(static_cast<std::int64_t>(loads.back().size()), bytes);
    std::size_t at = loads.back().find("RepoTags\":[\"") + 12;
    std::string name = loads.back().substr(at, loads.back().find('"', at) - at);
    add(name);
    co_return std::vector<std::string>{name};
  }
  Async<> tag_image(std::string id, std::string reference) override {
    add(reference);
    calls.push_back(fmt::format("tag {} {}", id, reference));
    co_return;
  }
  Async<> remove_image(std::string reference) override {
    if (removal_takes) co_await removal_takes();
    images.erase(reference);
    calls.push_back("remove " + reference);
    co_return;
  }
  std::vector<std::string> calls;
  std::function<Async<>()> removal_takes;

 private:
  Event gate_;
};

/// Artifacts by path, behind a redirect; the index; scopes.
class ArtifactServer : public net::Transport {
 public:
  std::map<std::string, std::string> artifacts;
  std::set<std::string> forbidden;
  std::string scopes = R"({"scopes":[]})";
  std::string location = "/object/";
  std::int64_t length_lie = 0;
  int downloads = 0;
  int failures = 0;  // 503s to come
  std::vector<std::string> signed_paths;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    net::IncomingResponse response;
    response.status = 200;
    response.body = scopes;
    constexpr std::string_view index = "/api/index/v1/task/";
    if (request.target.starts_with(index)) {
      bool known = request.target.ends_with("/known.image");
      response.status = known ? 200 : 404;
      response.body = known ? R"({"taskId":"fN1SbArXTPSVFNUvaOlinQ"})" : R"({"message":"no such task"})";
    }
    co_return response;
  }
  Async<net::OpenResponse> open(net::OutgoingRequest request) override {
    std::string name = request.target.substr(request.target.rfind('/') + 1);
    name = net::percent_decode(name).value_or("");
    bool bytes = request.target.starts_with("/object/");
    if (request.headers.has("authorization")) signed_paths.push_back(name);
    net::OpenResponse response;
    response.head.status = bytes ? 200 : 303;
    if (!bytes) response.head.headers.add("location", location + net::percent_encode(name));
    if (!artifacts.contains(name)) response.head.status = 404;
    if (forbidden.contains(name)) response.head.status = 403;
    if (failures > 0) {
      --failures;
      response.head.status = 503;
    }
    std::string body = R"({"message":"it is like that"})";
    if (bytes && response.head.status == 200) {
      ++downloads;
      body = artifacts[name];
      response.head.headers.add("content-length", std::to_string(static_cast<std::int64_t>(body.size()) + length_lie));
    }
    response.body = std::make_shared<net::StringBody>(body);
    co_return response;
  }
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest, std::string) override {
    throw Error(ErrorCode::unsupported, "upgrade");
  }
};

struct Store : testing::Test {
  /// A run that wants an image.
  struct Asker {
    Scope scope;
    RunLog log;
    RunContext run;
    Scope work;
    std::shared_ptr<const ImageUse> use;
    std::string failure;
    bool over = false;

    Asker(Store& world, int number)
        : scope(world.env.executor(), "asker"),
          log(world.env, world.api, {TaskId::random(world.env), 0},
              world.directory.file(fmt::format("spool-{}", number)), [] { return Signer(); }),
          run{world.env,
              world.engine,
              world.api,
              scope,
              world.settings,
              {TaskId::random(world.env), 0},
              {},
              {},
              std::make_shared<const wire::HawkSigner>(wire::HawkCredentials{"run", "secret", ""}),
              log,
              "",
              false},
          work(world.env.executor(), "work") {}
  };

  Store() {
    set_log_sink([](LogLevel, std::string_view) {});
    settings.task_queue = "prov/type";
    open({});
  }
  ~Store() override {
    for (auto& asker : askers) asker->work.cancel();
    env.settle();
    for (auto& asker : askers) env.run(asker->work.join());
    askers.clear();
    env.run(store->stop());
    set_log_sink({});
  }

  void open(std::string_view registries_file) {
    askers.clear();  // they hold images of the store that was
    if (store) env.run(store->stop());
    Registries registries;
    if (!registries_file.empty()) registries = value_or_throw(parse_registries(registries_file));
    store = std::make_unique<ImageStore>(env, engine, ImageStoreSettings{directory.file(""), registries});
  }

  Asker& ask(wire::ImageSource image) {
    askers.push_back(std::make_unique<Asker>(*this, static_cast<int>(askers.size())));
    Asker& asker = *askers.back();
    asker.run.payload.image = image;
    asker.run.plan.image = image.name;
    asker.work.spawn("ask", asking(asker));
    env.settle();
    return asker;
  }
  Asker& ask(const std::string& name) {
    wire::ImageSource image;
    image.name = name;
    return ask(image);
  }
  Asker& ask_artifact(const std::string& path) {
    return ask(wire::ImageSource{wire::ImageSource::Kind::task, "", "", "fN1SbArXTPSVFNUvaOlinQ", path});
  }
  Async<> asking(Asker& asker) {
    try {
      asker.use = co_await store->ensure(asker.run);
    } catch (const Error& error) {
      asker.failure = fmt::format("{} ({})", error.message(), error.hint());
    }
    asker.over = true;
  }
  void finish(Asker& asker) {
    env.run_until([&] { return asker.over; });
  }
  std::string log_of(Asker& asker) {
    std::string text;
    for (;;) {
      std::string more = env.run(asker.log.read(static_cast<std::int64_t>(text.size())));
      if (more.empty()) return text;
      text += more;
    }
  }

  FakeEnv env;
  TemporaryDirectory directory;
  ImageEngine engine;
  std::shared_ptr<ArtifactServer> server = std::make_shared<ArtifactServer>();
  ServerApi api{env, server, "server", 80};
  RunSettings settings;
  std::unique_ptr<ImageStore> store;
  std::vector<std::unique_ptr<Asker>> askers;
};

}  // namespace gantry::agent
