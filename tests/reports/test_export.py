import nbformat
import pytest

from workbench.errors import NoData
from workbench.reports.export import export_html


@pytest.fixture
def notebook(tmp_path):
    book = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("secret_code = 1")
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="the result")]
    book.cells = [nbformat.v4.new_markdown_cell("# A title"), cell]
    file = tmp_path / "report.ipynb"
    nbformat.write(book, file)
    return file


def test_a_page_shows_results_without_code_and_loads_nothing_from_outside(notebook, tmp_path):
    page = export_html(notebook, tmp_path / "reports" / "page.html", "real")
    text = page.read_text()
    assert "A title" in text
    assert "the result" in text
    assert "secret_code" not in text
    assert "SAMPLE MARKET" not in text
    assert 'src="http' not in text
    assert 'href="http' not in text
    assert [file.name for file in page.parent.iterdir()] == ["page.html"]


def test_a_page_of_made_data_says_so_at_the_top(notebook, tmp_path):
    text = export_html(notebook, tmp_path / "page.html", "sample").read_text()
    assert text.index("SAMPLE MARKET") < text.index("the result")


def test_a_lost_notebook_is_named(tmp_path):
    with pytest.raises(NoData, match="the executed notebook is gone"):
        export_html(tmp_path / "gone.ipynb", tmp_path / "page.html", "sample")
