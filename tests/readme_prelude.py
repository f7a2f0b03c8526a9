# What the snippets of the README take for granted: a module, its data, a model and clips.
import torch
from lightning.pytorch import LightningModule


class MyModule(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        x, target = batch
        return torch.nn.functional.mse_loss(self(x), target)

    def test_step(self, batch: list[torch.Tensor]) -> None:
        """The callbacks look at the clips."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


my_module = MyModule()
x, target = torch.randn(8, 4), torch.randn(8, 2)
my_loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, target), batch_size=4)
model = torch.nn.Linear(4, 2)
