# The sources of examples/common, relative to examples/: one library for all examples and for tests/examples.
# It needs fmt (header-only), CLI11, nlohmann/json and zlib.
set(common_sources
  common/atomic_file.cpp
  common/checkpoint.cpp
  common/classification.cpp
  common/clip_gradient.cpp
  common/data/fashion_mnist.cpp
  common/data/idx.cpp
  common/data/parallel_for.cpp
  common/figures.cpp
  common/gnuplot.cpp
  common/interrupt.cpp
  common/models/fashion_training.cpp
  common/optimizers.cpp
  common/optimizers/lion.cpp
  common/optimizers/novograd.cpp
  common/program.cpp
  common/progress.cpp
  common/run_log.cpp
  common/settings.cpp
  common/table.cpp
  common/trained_weights.cpp
  common/training.cpp
  common/weight_average.cpp)

# For the examples that read or write PNG files: a library of its own, which needs libspng.
set(png_sources
  common/data/file_bytes.cpp
  common/data/png.cpp
  common/data/png_writer.cpp)

# For image classification: a library of its own, which needs libjpeg as well.
set(image_sources
  common/data/cifar.cpp
  common/data/crops.cpp
  common/data/image_file.cpp
  common/data/image_folder.cpp
  common/data/image_loader.cpp
  common/data/image_operations.cpp
  common/data/image_transform.cpp
  common/data/image_views.cpp
  common/data/images_in_memory.cpp
  common/data/jpeg.cpp
  common/data/mix.cpp
  common/data/packed_format.cpp
  common/data/packed_images.cpp
  common/data/packed_writer.cpp
  common/data/rand_augment.cpp
  common/data/resize.cpp
  common/models/filter_response_norm.cpp
  common/models/image_models.cpp
  common/models/resnet.cpp
  common/models/small_resnet.cpp
  common/models/state_dict.cpp
  common/models/vit.cpp)

# For language models: a library of its own.
set(text_sources
  common/activation_checkpoint.cpp
  common/data/file_checksum.cpp
  common/data/memory_map.cpp
  common/data/token_batches.cpp
  common/data/token_file.cpp
  common/models/fast_linear.cpp
  common/models/gpt2.cpp
  common/models/gpt2_weights.cpp
  common/models/lora.cpp
  common/models/lora_files.cpp
  common/models/model_files.cpp
  common/models/projection.cpp
  common/models/safetensors.cpp
  common/models/safetensors_header.cpp
  common/models/weight_files.cpp
  common/text/bpe_merging.cpp
  common/text/bpe_tokenizer.cpp
  common/text/bpe_trainer.cpp
  common/text/bpe_vocabulary.cpp
  common/text/character_tokenizer.cpp
  common/text/open_tokenizer.cpp
  common/text/pre_tokenizer.cpp)
