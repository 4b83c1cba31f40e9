#include "sim/sim_network.h"

#include <gtest/gtest.h>

namespace gantry::sim {
namespace {

constexpr std::int64_t minute_us = 60'000'000;

struct CountingHandler : net::Handler {
  explicit CountingHandler(Env& e) : env(e) {}
  Env& env;
  int handled = 0;
  int undelivered = 0;
  int seen_gone = 0;
  Duration takes{};

  Async<net::Response> handle(net::Request request) override {
    ++handled;
    if (takes > Duration(0)) {
      request.peer_watch->on_gone([this] { ++seen_gone; });
      co_await env.sleep(takes);
      request.peer_watch->on_gone(nullptr);
    }
    net::Response response;
    response.body = "hello";
    response.undelivered = [this] { ++undelivered; };
    co_return response;
  }
};

struct CountingObserver : NetworkObserver {
  int arrivals = 0;
  int answers = 0;
  void on_arrival(const Exchange&) override { ++arrivals; }
  void on_answer(const Exchange&, const net::Response&) override { ++answers; }
  void on_server_gone() override {}
};

/// A server that says hello, and one client.
struct Fixture {
  VirtualClock clock;
  Trace trace{false};
  Faults faults;
  CountingObserver observer;
  SimEnv wire;
  SimEnv server_env;
  SimEnv client_env;
  CountingHandler handler;
  SimNetwork network;
  std::shared_ptr<Endpoint> endpoint;
  Link link;
  Scope scope;
  int answered = 0;
  int failed = 0;

  explicit Fixture(std::string_view fault_names = "none", std::uint64_t seed = 1)
      : faults(value_or_throw(Faults::parse(fault_names))),
        wire(clock, seed, "wire"),
        server_env(clock, seed, "server"),
        client_env(clock, seed, "client"),
        handler(server_env),
        network(wire, faults, trace, observer),
        endpoint(std::make_shared<Endpoint>(handler, server_env)),
        link(network, client_env, "client"),
        scope(client_env.executor(), "test") {
    network.attach(endpoint);
  }
  ~Fixture() {
    scope.cancel();
    endpoint->requests.cancel();
    clock.run_ready();
  }

  Async<> ask() {
    try {
      net::OutgoingRequest request;
      request.target = "/";
      net::IncomingResponse response = co_await link.exchange(std::move(request), 0);
      answered += response.body == "hello" ? 1 : 0;
    } catch (const Error&) {
      ++failed;
    }
  }
  void ask(int times) {
    for (int i = 0; i < times; ++i) scope.spawn("ask", ask());
  }
  void run_for(std::int64_t us) {
    std::int64_t until_us = clock.now_us() + us;
    clock.run_ready();
    while (clock.run_next_timer(until_us)) clock.run_ready();
  }
};

TEST(SimNetwork, WithoutFaultsEveryRequestIsAnsweredOnce) {
  Fixture fixture;
  fixture.ask(200);
  fixture.run_for(minute_us);
  EXPECT_EQ(fixture.answered, 200);
  EXPECT_EQ(fixture.handler.handled, 200);
  EXPECT_EQ(fixture.handler.undelivered, 0);
  EXPECT_EQ(fixture.observer.arrivals, 200);
  EXPECT_EQ(fixture.observer.answers, 200);
}

TEST(SimNetwork, ALostRequestIsNeverHandledAndTimesOut) {
  Fixture fixture("request-lost");
  fixture.ask(5000);
  fixture.run_for(minute_us);
  auto lost = static_cast<int>(fixture.faults.counts()[static_cast<std::size_t>(Fault::request_lost)]);
  EXPECT_GT(lost, 0);
  EXPECT_EQ(fixture.failed, lost);
  EXPECT_EQ(fixture.handler.handled, 5000 - lost);
}

TEST(SimNetwork, ADoubledRequestIsHandledTwiceAndAnsweredOnce) {
  Fixture fixture("request-doubled");
  fixture.ask(5000);
  fixture.run_for(3 * minute_us);
  auto doubled = static_cast<int>(fixture.faults.counts()[static_cast<std::size_t>(Fault::request_doubled)]);
  EXPECT_GT(doubled, 0);
  EXPECT_EQ(fixture.handler.handled, 5000 + doubled);
  EXPECT_EQ(fixture.answered, 5000);
}

TEST(SimNetwork, ALostAnswerIsHandledAndSometimesReported) {
  Fixture fixture("answer-lost");
  fixture.ask(5000);
  fixture.run_for(5 * minute_us);
  auto lost = static_cast<int>(fixture.faults.counts()[static_cast<std::size_t>(Fault::answer_lost)]);
  EXPECT_EQ(fixture.handler.handled, 5000);
  EXPECT_EQ(fixture.answered, 5000 - lost);
  EXPECT_GT(fixture.handler.undelivered, 0);
  EXPECT_LT(fixture.handler.undelivered, lost);
}

TEST(SimNetwork, ACutClientReachesNothingUntilItHeals) {
  Fixture fixture;
  fixture.link.cut_until(fixture.clock.now_us() + 2 * minute_us);
  fixture.ask(10);
  fixture.run_for(minute_us);
  EXPECT_EQ(fixture.failed, 10);
  EXPECT_EQ(fixture.handler.handled, 0);
  fixture.link.heal();
  fixture.ask(10);
  fixture.run_for(minute_us);
  EXPECT_EQ(fixture.answered, 10);
}

TEST(SimNetwork, TheServerSeesMostClientsLeave) {
  Fixture fixture;
  fixture.handler.takes = seconds(20);
  fixture.ask(100);
  fixture.run_for(1'000'000);
  fixture.scope.cancel();
  fixture.run_for(minute_us);
  EXPECT_GT(fixture.handler.seen_gone, 50);
  EXPECT_LT(fixture.handler.seen_gone, 100);
  EXPECT_GE(fixture.handler.undelivered, fixture.handler.seen_gone);
}

TEST(SimNetwork, WhenTheServerDiesItsClientsAreToldAndNothingOfItIsHeard) {
  Fixture fixture;
  fixture.handler.takes = seconds(20);
  fixture.ask(10);
  fixture.run_for(1'000'000);
  fixture.network.server_died(*fixture.endpoint);
  fixture.run_for(minute_us);
  EXPECT_EQ(fixture.failed, 10);
  EXPECT_EQ(fixture.observer.answers, 0);
  EXPECT_EQ(fixture.handler.undelivered, 0);
  fixture.ask(1);
  fixture.run_for(minute_us);
  EXPECT_EQ(fixture.failed, 11);
}

}  // namespace
}  // namespace gantry::sim
