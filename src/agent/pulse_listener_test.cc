#include "agent/pulse_listener.h"

#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

constexpr const char* pending = "exchange/taskcluster-queue/v1/task-pending";
constexpr const char* exception = "exchange/taskcluster-queue/v1/task-exception";
constexpr const char* task = "AAAAAAAAQBCAAAAAAAAAAA";

std::string message(const std::string& queue, const std::string& runs) {
  return R"({"status":{"taskId":")" + std::string(task) + R"(",)" + queue + R"(,"runs":[)" + runs + "]}}";
}

const std::string own = R"("taskQueueId":"p/w")";

TEST(PulseNews, ATaskOfThePoolIsPending) {
  for (const std::string& queue : {own, std::string(R"("provisionerId":"p","workerType":"w")")}) {
    auto news = parse_pulse_news(pending, message(queue, ""), "p/w");
    ASSERT_TRUE(news) << queue;
    EXPECT_TRUE(news->pending);
    EXPECT_FALSE(news->ended);
  }
  EXPECT_FALSE(parse_pulse_news(pending, message(R"("taskQueueId":"p/other")", ""), "p/w"));
}

TEST(PulseNews, ARunWasEndedByTheQueue) {
  for (const char* reason : {"canceled", "deadline-exceeded"}) {
    std::string runs = R"({"reasonResolved":"claim-expired"},{"reasonResolved":")" + std::string(reason) + R"("})";
    auto news = parse_pulse_news(exception, message(own, runs), "p/w");
    ASSERT_TRUE(news && news->ended) << reason;
    EXPECT_EQ(news->ended->task.to_string(), task);
    EXPECT_EQ(news->ended->run, 1);
  }
}

TEST(PulseNews, WhatTheWorkerItselfHasReportedIsNone) {
  for (const char* reason : {"worker-shutdown", "malformed-payload", "internal-error"}) {
    std::string runs = R"({"reasonResolved":")" + std::string(reason) + R"("})";
    EXPECT_FALSE(parse_pulse_news(exception, message(own, runs), "p/w")) << reason;
  }
}

TEST(PulseNews, WhatIsNoneOfTheQueuesMessagesIsPassedOver) {
  for (const char* body : {"", "{", "[]", "{}", R"({"status":1})", R"({"status":{}})",
                           R"({"status":{"taskQueueId":"p/w","taskId":"x","runs":[{"reasonResolved":"canceled"}]}})",
                           R"({"status":{"taskQueueId":"p/w","runs":[1]}})"}) {
    EXPECT_FALSE(parse_pulse_news(exception, body, "p/w")) << body;
  }
  EXPECT_FALSE(parse_pulse_news("exchange/other", message(own, ""), "p/w"));
}

}  // namespace
}  // namespace gantry::agent
