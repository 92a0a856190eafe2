"""A sweep of language models on the command line: its quantity is bits per byte, without options."""


def test_x(text_sweep):
    d = text_sweep(budgets=(1e10, 1e11, 1e12, 1e13))
    import shutil

    shutil.rmtree("/tmp/w/tx", ignore_errors=True)
    shutil.copytree(d, "/tmp/w/tx")
