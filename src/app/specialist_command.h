#pragma once
/// `understudy train intent`, `predict` and `quantize`: specialists from labelled rows (docs/guide/specialists.md).

namespace understudy::app {

int run_train_intent_command(int argc, char** argv);
int run_predict_command(int argc, char** argv);
int run_quantize_command(int argc, char** argv);

}  // namespace understudy::app
